"""How quick the engine is, beside sharp; see __main__."""
