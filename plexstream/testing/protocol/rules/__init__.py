"""The models: each rule of the protocol holds something up."""
