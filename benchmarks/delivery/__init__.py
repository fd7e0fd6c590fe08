"""How quick and how good the read path is, beside thumbor and beside a plain file; see comparison."""
