// What libpoundlock.so exports: what carries POUNDLOCK_API, and nothing else. The structs of these headers
// are handed over by value: a new member of one comes with a new SOVERSION.
#pragma once

#if defined(__GNUC__)
#define POUNDLOCK_API __attribute__((visibility("default")))
#else
#define POUNDLOCK_API
#endif
