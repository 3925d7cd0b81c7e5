"""What actor code imports: pure Python, natively and inside a WASM guest."""
