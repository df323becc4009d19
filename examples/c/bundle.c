#define _POSIX_C_SOURCE 200809L
#include "bundle.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

_Noreturn void die(const char *format, ...) {
  va_list values;
  va_start(values, format);
  fputs("error: ", stderr);
  vfprintf(stderr, format, values);
  fputc('\n', stderr);
  exit(2);
}

static size_t number(const unsigned char *at, int bytes) {  // little-endian
  size_t value = 0;
  while (bytes--) value = value << 8 | at[bytes];
  return value;
}

Span map(const char *path) {
  struct stat about;
  int file = open(path, O_RDONLY);
  if (file < 0 || fstat(file, &about) != 0) die("%s can't be read", path);
  void *bytes = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  if (bytes == MAP_FAILED) die("%s can't be mapped", path);
  return (Span){bytes, (size_t)about.st_size};
}

// Entries are stored, not deflated; the directory's end record is the last 22 bytes. No number is trusted.
Span entry(Span bundle, const char *name) {
  const unsigned char *end = bundle.bytes + bundle.size - 22, *at;
  if (bundle.size < 22 || number(end, 4) != 0x06054b50) die("not a bundle, or cut short");
  size_t room = bundle.size - 22, directory = number(end + 12, 4), first = number(end + 16, 4), length;
  if (directory > room || first > room - directory) die("the bundle's directory is damaged");
  size_t before = room - directory - first;  // bytes that someone put before the archive
  for (at = end - directory; end - at >= 46; at += 46 + length + number(at + 30, 2) + number(at + 32, 2)) {
    size_t size = number(at + 24, 4), local = number(at + 42, 4);
    length = number(at + 28, 2);
    if (length != strlen(name) || (size_t)(end - at) < 46 + length || memcmp(at + 46, name, length) != 0) continue;
    if (local > room - before || room - before - local < 30) break;
    local += before;
    size_t start = local + 30 + number(bundle.bytes + local + 26, 2) + number(bundle.bytes + local + 28, 2);
    if (start > room || size > room - start) break;
    return (Span){bundle.bytes + start, size};
  }
  die("no entry %s in the bundle", name);
}

const char *space(const char *at) { return at + strspn(at, " \n\r\t,:"); }

const char *past(const char *at) {
  if (!*at) die("manifest.json is cut short");
  if (*at == '"') {
    for (at++; *at && *at != '"'; at++) at += *at == '\\' && at[1];
    return *at ? at + 1 : past(at);
  }
  if (*at != '{' && *at != '[') return at + strcspn(at, ",]} \n");
  for (at = space(at + 1); *at != '}' && *at != ']';) at = space(past(at));
  return at + 1;
}

const char *find(const char *object, const char *key) {
  size_t length = strlen(key);
  for (const char *at = space(object + 1); *at != '}'; at = space(past(space(past(at)))))
    if (strncmp(at + 1, key, length) == 0 && at[length + 1] == '"') return space(past(at));
  return NULL;
}

const char *member(const char *object, const char *key) {
  const char *found = find(object, key);
  if (!found) die("manifest.json lacks %s", key);
  return found;
}

const char *string(const char *value, char into[NAME]) {
  snprintf(into, NAME, "%.*s", (int)(past(value) - value) - 2, value + 1);
  return into;
}

size_t width(ONNXTensorElementDataType type) {
  static const size_t widths[] = {0, 4, 1, 1, 2, 2, 4, 8, 0, 1, 2, 8, 4, 8};  // in the order of the enumeration
  return (size_t)type < sizeof widths / sizeof *widths ? widths[type] : 0;
}

// An .npy entry: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
Array npy(Span bundle, const char *format, ...) {
  static const char *const kinds[] = {"", "f4", "u1", "i1", "u2", "i2", "i4", "i8", "", "b1", "f2", "f8", "u4", "u8"};
  char name[NAME], header[1024] = "";
  va_list values;
  va_start(values, format);
  vsnprintf(name, sizeof name, format, values);
  Span file = entry(bundle, name);
  size_t start = 10 + (file.size > 10 ? number(file.bytes + 8, 2) : 0);
  if (start > file.size || start >= sizeof header) die("%s is no .npy file", name);
  memcpy(header, file.bytes + 10, start - 10);
  const char *kind = strstr(header, "'descr': '"), *shape = strstr(header, "'shape': (");
  Array array = {.count = 1};
  for (int i = 1; kind && i < 14; i++)
    if (*kinds[i] && strncmp(kind + 11, kinds[i], 2) == 0) array.type = (ONNXTensorElementDataType)i;
  if (!shape || !array.type) die("%s holds what this program does not read: %s", name, header);
  char *at = (char *)shape + 10;
  for (at += strspn(at, ", "); *at != ')' && array.rank < MOST; at += strspn(at, ", "))
    array.count *= (size_t)(array.dims[array.rank++] = strtoll(at, &at, 10));
  size_t bytes = array.count * width(array.type);
  if (start + bytes > file.size) die("%s is cut short", name);
  array.data = memcpy(malloc(bytes + 1), file.bytes + start, bytes);  // aligned, unlike the entry
  return array;
}
