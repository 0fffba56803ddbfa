"""What a person changes: models, quarantine, withdrawals, retention; the steps that commands and jobs share."""
