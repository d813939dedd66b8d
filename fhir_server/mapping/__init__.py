"""Local messages of a HIS to FHIR and back, by declarative maps (``mappings/<his>/*.map.yaml``).

``load_mappings`` reads the folders, ``split`` cuts a file into messages, ``recognise`` finds HIS and map,
``translate`` makes the transaction Bundle, ``reverse`` goes back, ``check`` finds every fault of a folder.
Nothing here reads or writes a store.
"""

from fhir_server.mapping.check import check
from fhir_server.mapping.faults import Malformed, Undecodable, Untranslatable
from fhir_server.mapping.load import load_mappings
from fhir_server.mapping.recognise import recognise, split
from fhir_server.mapping.reverse import reverse
from fhir_server.mapping.translate import translate
from fhir_server.mapping.types import His, Map, Mappings, Recognised, TraceItem, Translation

__all__ = [
    "His",
    "Malformed",
    "Map",
    "Mappings",
    "Recognised",
    "TraceItem",
    "Translation",
    "Undecodable",
    "Untranslatable",
    "check",
    "load_mappings",
    "recognise",
    "reverse",
    "split",
    "translate",
]
