"""Actor hosts: native Python and WASM components."""
