"""How often the services look, for definitions that are made before anything runs.

Belongs here: settings of automation, read so that no mistake in them takes the code location down. What is wrong is
said where work is done: every run reads the settings and fails with the sentence.
"""

import dagster as dg

from warehouse.home import Home, SettingsRefused
from warehouse.settings import AutomationSettings


def automation_settings() -> AutomationSettings:
    """The settings of the home that the environment names; the defaults where they cannot be used."""
    try:
        return Home.from_environment().settings().automation
    except (SettingsRefused, OSError):
        return AutomationSettings()


def cron(field: str) -> str:
    """The setting of this name, a cron line (UTC); its default where Dagster cannot read what is set."""
    said = str(getattr(automation_settings(), field))
    try:
        dg.ScheduleDefinition(job_name="any", cron_schedule=said)
    except dg.DagsterInvalidDefinitionError:
        return str(AutomationSettings.model_fields[field].default)
    return said
