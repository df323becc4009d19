// MedianFilter, a custom operator for onnxruntime: each value becomes the median of the square around it.
//
//   domain     example.vision, version 1
//   attribute  size: side of the square, odd, from 1 to 15; 3 if it is not given
//   input      X: N x C x H x W, float32 or uint8
//   output     Y: of the same type and shape; beyond the border the nearest value is repeated
//
// Salt and pepper noise vanishes and edges stay, which no convolution does; ONNX has no operator for it.

#include <algorithm>
#include <cstdint>
#include <vector>

#define ORT_API_MANUAL_INIT
#include "onnxruntime_cxx_api.h"
#undef ORT_API_MANUAL_INIT

namespace {

// The oldest version of the C API that has what is used here (shape inference came with it), so that the library
// loads in every onnxruntime from 1.17 on, whatever release the headers are of.
constexpr uint32_t kApi = 17;

constexpr int64_t kLargest = 15;

template <typename T>
class Kernel {
 public:
  explicit Kernel(const OrtKernelInfo* given) {
    Ort::ConstKernelInfo info{given};
    int64_t size = 3;
    try {
      size = info.GetAttribute<int64_t>("size");
    } catch (const Ort::Exception&) {  // it is not given
    }
    if (size < 1 || size > kLargest || size % 2 == 0) {
      ORT_CXX_API_THROW("MedianFilter: size: expected an odd number from 1 to 15, got " + std::to_string(size),
                        ORT_INVALID_ARGUMENT);
    }
    reach_ = size / 2;
  }

  void Compute(OrtKernelContext* given) {
    Ort::KernelContext context{given};
    const auto input = context.GetInput(0);
    const auto shape = input.GetTensorTypeAndShapeInfo().GetShape();
    if (shape.size() != 4) {
      ORT_CXX_API_THROW("MedianFilter: expected N x C x H x W, got rank " + std::to_string(shape.size()),
                        ORT_INVALID_ARGUMENT);
    }
    const int64_t height = shape[2], width = shape[3];
    const T* from = input.GetTensorData<T>();
    T* to = context.GetOutput(0, shape).template GetTensorMutableData<T>();
    for (int64_t plane = 0; plane < shape[0] * shape[1]; ++plane) {
      Filter(from + plane * height * width, to + plane * height * width, height, width);
    }
  }

 private:
  void Filter(const T* from, T* to, int64_t height, int64_t width) const {
    std::vector<T> around(static_cast<size_t>((2 * reach_ + 1) * (2 * reach_ + 1)));
    const auto middle = around.begin() + static_cast<std::ptrdiff_t>(around.size() / 2);
    for (int64_t row = 0; row < height; ++row) {
      for (int64_t column = 0; column < width; ++column) {
        auto next = around.begin();
        for (int64_t y = row - reach_; y <= row + reach_; ++y) {
          const T* line = from + std::clamp<int64_t>(y, 0, height - 1) * width;
          for (int64_t x = column - reach_; x <= column + reach_; ++x) {
            *next++ = line[std::clamp<int64_t>(x, 0, width - 1)];
          }
        }
        std::nth_element(around.begin(), middle, around.end());
        to[row * width + column] = *middle;
      }
    }
  }

  int64_t reach_ = 1;
};

template <typename T>
struct MedianFilter : Ort::CustomOpBase<MedianFilter<T>, Kernel<T>> {
  MedianFilter() { OrtCustomOp::version = kApi; }

  void* CreateKernel(const OrtApi&, const OrtKernelInfo* info) const { return new Kernel<T>(info); }
  const char* GetName() const { return "MedianFilter"; }
  size_t GetInputTypeCount() const { return 1; }
  size_t GetOutputTypeCount() const { return 1; }
  ONNXTensorElementDataType GetInputType(size_t) const { return Ort::TypeToTensorType<T>::type; }
  ONNXTensorElementDataType GetOutputType(size_t) const { return Ort::TypeToTensorType<T>::type; }

  // The output's shape is the input's, free dimensions included.
  static OrtStatusPtr InferOutputShape(Ort::ShapeInferContext& context) {
    return context.SetOutputShape(0, context.GetInputShape(0), Ort::TypeToTensorType<T>::type).release();
  }
};

}  // namespace

#ifdef _WIN32
#define EXPORTED __declspec(dllexport)
#else
#define EXPORTED __attribute__((visibility("default")))
#endif

// The one name that onnxruntime looks up in a library of custom operators.
extern "C" EXPORTED OrtStatus* ORT_API_CALL RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  const OrtApi* api = base->GetApi(kApi);
  if (api == nullptr) {
    return nullptr;  // there is no way to say it: an error is made by the API that is missing
  }
  Ort::InitApi(api);
  static const MedianFilter<float> floats;
  static const MedianFilter<uint8_t> bytes;
  static Ort::CustomOpDomain domain{"example.vision"};  // onnxruntime does not copy it
  static const bool filled = (domain.Add(&floats), domain.Add(&bytes), true);
  static_cast<void>(filled);
  return api->AddCustomOpDomain(options, domain);
}
