raise RuntimeError("it needs a license")
