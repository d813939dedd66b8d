"""The forms a resource has on the wire besides JSON: XML, both ways, from the definitions alone."""

from fhir_server.formats.xml_indent import indent
from fhir_server.formats.xml_reader import from_xml
from fhir_server.formats.xml_writer import to_xml

__all__ = ["from_xml", "indent", "to_xml"]
