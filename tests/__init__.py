"""The specification, as tests; helpers they share lie beside them."""
