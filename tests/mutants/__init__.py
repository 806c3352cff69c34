"""
Mutation testing: break the source in every small way, and see a test fail each time.

cosmic-ray makes the mutants, because it also mutates decorated functions and what stands
outside of functions, which mutmut leaves alone: here these are the codecs themselves.
It mutates files in place, so every worker has a copy of the project to itself.
"""
