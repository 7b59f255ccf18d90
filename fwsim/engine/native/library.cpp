// What `library.py` asks a compiled library about itself.

#include "export.hpp"

FWSIM_EXPORT int fwsim_vector_bytes() { return FWSIM_VECTOR_BYTES; }

// Digest of the sources that the library was compiled from; see `variants.py`.
FWSIM_EXPORT const char *fwsim_digest() { return FWSIM_DIGEST; }
