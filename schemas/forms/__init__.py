"""The form as clinics hand it out: blank CSV, REDCap data dictionary, FHIR Questionnaire, printable pages."""
