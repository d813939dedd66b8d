"""``python -m fhir_server`` is the command line."""

from fhir_server.cli import main

main()
