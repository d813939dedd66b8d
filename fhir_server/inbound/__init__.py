"""Messages of hospital information systems: two doors (MLLP, HTTP), one ``receive``, one quarantine."""
