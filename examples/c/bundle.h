// Reads a bundle in place: its entries, its manifest, its arrays. See docs/bundle.md. Hashes are not checked here:
// `python NAME.edge selftest` does that, and a program of yours may do it once, when the bundle arrives.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "onnxruntime_c_api.h"

enum { MOST = 64, NAME = 256 };  // inputs, outputs, dimensions or entries; characters of a name

typedef struct { const unsigned char *bytes; size_t size; } Span;
typedef struct { ONNXTensorElementDataType type; int64_t dims[MOST]; size_t rank, count; void *data; } Array;

// Says what is wrong and exits with 2, as everything here does that can't go on.
_Noreturn void die(const char *format, ...);

// A file, mapped.
Span map(const char *path);

// The bytes of a bundle's entry.
Span entry(Span bundle, const char *name);

// JSON as text, each value as the place where it begins; commas and colons count as space.
// `for (at = space(array + 1); *at != ']'; at = space(past(at)))` visits a list.
const char *space(const char *at);
const char *past(const char *value);
const char *find(const char *object, const char *key);  // NULL where there is none
const char *member(const char *object, const char *key);
const char *string(const char *value, char into[NAME]);

// An .npy entry, its name put together as printf does. The caller frees its data.
Array npy(Span bundle, const char *format, ...);

// Bytes of an element; 0 for types that `npy` does not read.
size_t width(ONNXTensorElementDataType type);
