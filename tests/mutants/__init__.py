"""
Mutation testing: break the source in every small way, and see a test fail each time.

cosmic-ray makes the mutants, because it mutates decorated functions, too, and what
stands outside of functions: mutmut leaves both alone, and here these are the codecs.
It mutates files in place, so every worker has a copy of the project to itself.
"""
