// Functions that Python calls through ctypes: no C++ names, visible in the shared library.
#pragma once

#define FWSIM_EXPORT extern "C" __attribute__((visibility("default")))
