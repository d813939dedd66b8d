"""R4's values as pure functions on JSON and text: dates, decimals, references, Bundles, identifiers."""
