// Runs a bundle's golden samples with onnxruntime's C API: selftest LIBONNXRUNTIME.so NAME.edge
// Prints the largest difference of each output of each variant; exits with 1 when one is too large, with 2 when something
// can't be used.
#define _POSIX_C_SOURCE 200809L
#include <dlfcn.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"

typedef struct { double difference, allowed; bool ok; } Found;  // the largest difference, what is allowed there

static const OrtApi *ort;
static OrtAllocator *allocator;

static void check(OrtStatus *status) {
  if (status) die("%s", ort->GetErrorMessage(status));
}

static double element(ONNXTensorElementDataType type, const void *data, size_t i) {
  switch (type) {
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT: return ((const float *)data)[i];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE: return ((const double *)data)[i];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_BOOL:
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT8: return ((const uint8_t *)data)[i];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT8: return ((const int8_t *)data)[i];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT16: return ((const uint16_t *)data)[i];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT16: return ((const int16_t *)data)[i];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT32: return ((const uint32_t *)data)[i];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT32: return ((const int32_t *)data)[i];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_UINT64: return (double)((const uint64_t *)data)[i];
    case ONNX_TENSOR_ELEMENT_DATA_TYPE_INT64: return (double)((const int64_t *)data)[i];
    default: die("an output's type is not compared here: %d", (int)type);
  }
}

// Widens what was found of an output.
static void compare(OrtValue *value, Array expected, const char *tolerance, Found *found) {
  OrtTensorTypeAndShapeInfo *info;
  Array got = {0};
  check(ort->GetTensorTypeAndShape(value, &info));
  check(ort->GetTensorElementType(info, &got.type));
  check(ort->GetDimensionsCount(info, &got.rank));
  if (got.rank > MOST) die("an output has %zu dimensions", got.rank);
  check(ort->GetDimensions(info, got.dims, got.rank));
  check(ort->GetTensorMutableData(value, &got.data));
  ort->ReleaseTensorTypeAndShapeInfo(info);
  double atol = strtod(member(tolerance, "atol"), NULL), rtol = strtod(member(tolerance, "rtol"), NULL);
  if (got.type != expected.type || got.rank != expected.rank ||
      memcmp(got.dims, expected.dims, got.rank * sizeof *got.dims) != 0) {
    *found = (Found){INFINITY, atol, false};
    return;
  }
  for (size_t i = 0; i < expected.count; i++) {
    double want = element(expected.type, expected.data, i), have = element(got.type, got.data, i);
    bool same = have == want || (isnan(have) && isnan(want));
    double difference = same ? 0 : fabs(have - want), allowed = isfinite(want) ? atol + rtol * fabs(want) : atol;
    if (isnan(difference)) difference = INFINITY;
    if (difference > found->difference) found->difference = difference, found->allowed = allowed;
    found->ok = found->ok && difference <= allowed;
  }
}

static OrtSession *load(OrtEnv *env, Span bundle, const char *manifest, const char *variant) {
  static const char *const levels[] = {"disabled", "basic", "extended", "all"};
  static const GraphOptimizationLevel numbers[] = {ORT_DISABLE_ALL, ORT_ENABLE_BASIC, ORT_ENABLE_EXTENDED,
                                                   ORT_ENABLE_ALL};
  OrtSessionOptions *options;
  OrtSession *session;
  char file[NAME], level[NAME], names[MOST][NAME];
  const char *files[MOST];
  char *buffers[MOST];
  size_t lengths[MOST], weights = 0;
  long threads = strtol(member(member(manifest, "session"), "intra_op_threads"), NULL, 10);
  check(ort->CreateSessionOptions(&options));
  check(ort->SetIntraOpNumThreads(options, (int)threads));
  string(member(variant, "graph_optimization"), level);
  for (size_t i = 0; i < 4; i++)
    if (strcmp(level, levels[i]) == 0) check(ort->SetSessionGraphOptimizationLevel(options, numbers[i]));
  for (const char *at = space(member(variant, "weights") + 1); *at != ']' && weights < MOST; at = space(past(at))) {
    Span bytes = entry(bundle, files[weights] = string(at, names[weights]));
    buffers[weights] = (char *)bytes.bytes;
    lengths[weights++] = bytes.size;
  }
  if (weights) check(ort->AddExternalInitializersFromFilesInMemory(options, files, buffers, lengths, weights));
  Span model = entry(bundle, string(member(variant, "file"), file));
  check(ort->CreateSessionFromArray(env, model.bytes, model.size, options, &session));
  ort->ReleaseSessionOptions(options);
  return session;
}

// Runs golden sample `i`.
static void run(OrtSession *session, Span bundle, const char *variant, long i, size_t inputs, size_t outputs,
                Found *found) {
  char *in[MOST], *out[MOST], name[NAME];
  Array arrays[MOST];
  OrtValue *given[MOST] = {0}, *got[MOST] = {0};
  OrtMemoryInfo *memory;
  check(ort->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory));
  for (size_t j = 0; j < inputs; j++) {
    Array a = arrays[j] = npy(bundle, "golden/%ld/input%zu.npy", i, j);
    check(ort->SessionGetInputName(session, j, allocator, &in[j]));
    check(ort->CreateTensorWithDataAsOrtValue(memory, a.data, a.count * width(a.type), a.dims, a.rank, a.type,
                                              &given[j]));
  }
  for (size_t j = 0; j < outputs; j++) check(ort->SessionGetOutputName(session, j, allocator, &out[j]));
  check(ort->Run(session, NULL, (const char *const *)in, (const OrtValue *const *)given, inputs,
                 (const char *const *)out, outputs, got));
  for (size_t j = 0; j < outputs; j++) {
    Array expected = npy(bundle, "golden/%ld/%s/output%zu.npy", i, string(member(variant, "name"), name), j);
    compare(got[j], expected, member(member(variant, "tolerance"), out[j]), &found[j]);
    free(expected.data);
    ort->ReleaseValue(got[j]);
    check(ort->AllocatorFree(allocator, out[j]));
  }
  for (size_t j = 0; j < inputs; j++) {
    ort->ReleaseValue(given[j]);
    free(arrays[j].data);
    check(ort->AllocatorFree(allocator, in[j]));
  }
  ort->ReleaseMemoryInfo(memory);
}

// Runs the golden samples of a variant, and prints how far its outputs are from the recorded ones.
static bool selftest(OrtEnv *env, Span bundle, const char *manifest, const char *variant) {
  char name[NAME], *output;
  Found found[MOST];
  size_t inputs, outputs;
  bool ok = true;
  long samples = strtol(member(member(manifest, "golden"), "samples"), NULL, 10);
  if (samples < 1) die("there are no golden samples; package the model with --data");
  OrtSession *session = load(env, bundle, manifest, variant);
  check(ort->SessionGetInputCount(session, &inputs));
  check(ort->SessionGetOutputCount(session, &outputs));
  if (inputs > MOST || outputs > MOST) die("expected at most %d inputs and outputs", MOST);
  for (size_t j = 0; j < outputs; j++) found[j] = (Found){-1, 0, true};
  for (long i = 0; i < samples; i++) run(session, bundle, variant, i, inputs, outputs, found);
  for (size_t j = 0; j < outputs; j++) {
    check(ort->SessionGetOutputName(session, j, allocator, &output));
    printf("%s: %s  difference %.3g, allowed %.3g: %s\n", string(member(variant, "name"), name), output,
           found[j].difference, found[j].allowed, found[j].ok ? "ok" : "differs");
    check(ort->AllocatorFree(allocator, output));
    ok = ok && found[j].ok;
  }
  ort->ReleaseSession(session);
  return ok;
}

// The library's API. It is opened by name, not linked: its symbols carry the release, and a linked program would refuse
// any other.
static const OrtApi *open_api(const char *path) {
  const OrtApiBase *(*base)(void) = NULL;
  void *library = dlopen(path, RTLD_NOW);
  if (!library) die("%s", dlerror());
  *(void **)&base = dlsym(library, "OrtGetApiBase");
  if (!base) die("%s is not onnxruntime's library", path);
  const OrtApi *api = base()->GetApi(ORT_API_VERSION);
  if (!api) die("expected onnxruntime 1.%d or newer, got %s", ORT_API_VERSION, base()->GetVersionString());
  return api;
}

int main(int count, char **arguments) {
  if (count != 3) die("usage: %s LIBONNXRUNTIME.so NAME.edge", arguments[0]);
  OrtEnv *env;
  ort = open_api(arguments[1]);
  check(ort->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "selftest", &env));
  check(ort->GetAllocatorWithDefaultOptions(&allocator));
  Span bundle = map(arguments[2]), text = entry(bundle, "manifest.json");
  char *manifest = strndup((const char *)text.bytes, text.size);
  if (strtol(member(manifest, "schema"), NULL, 10) != 2) die("expected a bundle of schema 2");
  if (find(manifest, "custom_ops")) die("the model has custom operators, whose libraries this program does not load");
  bool ok = true;
  for (const char *at = space(member(manifest, "variants") + 1); *at != ']'; at = space(past(at)))
    ok = selftest(env, bundle, manifest, at) && ok;
  free(manifest);
  ort->ReleaseEnv(env);
  return ok ? 0 : 1;
}
