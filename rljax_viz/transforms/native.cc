// oneDNN's convolutions (NHWC, HWIO) and matrix products as XLA FFI handlers, for float32 and bfloat16.
//
// One trilinear form, seen from its three sides: role 0 is the result (x, w) -> y, role 1 the gradient by the input
// (g, w) -> x, role 2 the gradient by the weights (x, g) -> w. Built and loaded by native.py.
#include <omp.h>

#include <cstdint>
#include <list>
#include <map>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "dnnl.hpp"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;
using dnnl::memory;
using Dims = std::vector<int64_t>;
using Ints = ffi::Span<const int64_t>;

namespace {

enum Role { kResult = 0, kInput = 1, kWeights = 2 };
constexpr size_t kMostPrimitives = 512;  // one a shape: enough for any program, and bounded over a long life

// A primitive and the memory it works in. That is ours: oneDNN's own belongs to the thread that made the primitive, and
// XLA calls from any.
struct Step {
  dnnl::primitive primitive;
  memory::desc scratch;

  Step() = default;
  template <typename Made>
  Step(const dnnl::primitive &primitive, const Made &description)
      : primitive(primitive), scratch(description.scratchpad_desc()) {}
  void Run(std::unordered_map<int, memory> operands) const;
};

// What stands ready to run. `w` holds the weights in the layout that oneDNN prefers, where it is not the plain one.
struct Ready {
  Step step, reorder;
  memory x, w, w_plain, y, bias;
  int arg_x = 0, arg_w = 0, arg_y = 0;
  bool reordered = false;
};

dnnl::engine &Engine() {
  static auto *engine = new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return *engine;
}

dnnl::stream &Stream() {
  static auto *stream = new dnnl::stream(Engine());
  return *stream;
}

// One memory for all, as large as any of them asked for: calls are made one at a time.
void Step::Run(std::unordered_map<int, memory> operands) const {
  static auto *shared = new memory;
  static size_t held = 0;
  const size_t size = scratch.get_size();
  if (size > held) {
    *shared = memory({{static_cast<int64_t>(size)}, memory::data_type::u8, memory::format_tag::a}, Engine());
    held = size;
  }
  if (size) operands[DNNL_ARG_SCRATCHPAD] = memory(scratch, Engine(), shared->get_data_handle());
  primitive.execute(Stream(), operands);
}

// Least recently used primitives leave first.
class Cache {
 public:
  template <typename Make>
  Ready &Get(const Dims &key, Make make) {
    auto found = index_.find(key);
    if (found == index_.end()) {
      entries_.emplace_front(key, make());
      index_[key] = entries_.begin();
      if (entries_.size() > kMostPrimitives) {
        index_.erase(entries_.back().first);
        entries_.pop_back();
      }
    } else {
      entries_.splice(entries_.begin(), entries_, found->second);
    }
    return entries_.front().second;
  }
  size_t size() const { return entries_.size(); }

 private:
  std::list<std::pair<Dims, Ready>> entries_;
  std::map<Dims, std::list<std::pair<Dims, Ready>>::iterator> index_;
};

std::mutex mutex;  // every call takes all threads: one at a time
Cache &Primitives() {
  static auto *cache = new Cache;
  return *cache;
}

memory::data_type Type(const ffi::AnyBuffer &a) {
  return a.element_type() == ffi::DataType::BF16 ? memory::data_type::bf16 : memory::data_type::f32;
}

// `rectified`: max(0, what is computed), as a last step of a primitive
dnnl::primitive_attr Attributes(bool rectified = false) {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (rectified) {
    dnnl::post_ops ops;
    ops.append_eltwise(dnnl::algorithm::eltwise_relu, 0.f, 0.f);
    attributes.set_post_ops(ops);
  }
  return attributes;
}

Dims Shape(const ffi::AnyBuffer &a) { return Dims(a.dimensions().begin(), a.dimensions().end()); }

// x[n h w c], w[kh kw c/g o], y[n oh ow o], all dense and row-major; `rectified`: the result is max(0, y + bias[o])
Ready MakeConv(int64_t role, const Dims &x, const Dims &w, const Dims &y, memory::data_type type, Ints strides,
               Ints padding, Ints dilation, int64_t groups, bool rectified) {
  using Desc = memory::desc;
  const auto any = memory::format_tag::any, nhwc = memory::format_tag::nhwc;
  const int64_t kh = w[0], kw = w[1], c = w[2], o = w[3];
  const Dims w_dims = groups > 1 ? Dims{groups, o / groups, c, kh, kw} : Dims{o, c, kh, kw};
  const Dims w_strides = groups > 1 ? Dims{o / groups, 1, o, kw * c * o, c * o} : Dims{1, o, kw * c * o, c * o};
  const Desc x_desc({x[0], x[3], x[1], x[2]}, type, nhwc), y_desc({y[0], y[3], y[1], y[2]}, type, nhwc);
  const Desc plain(w_dims, type, w_strides), free(w_dims, type, any);
  const Dims stride{strides[0], strides[1]}, dilate{dilation[0] - 1, dilation[1] - 1};
  const Dims low{padding[0], padding[2]}, high{padding[1], padding[3]};
  const auto direct = dnnl::algorithm::convolution_direct;
  dnnl::convolution_forward::primitive_desc forward(Engine(), dnnl::prop_kind::forward_training, direct, x_desc, free,
                                                    y_desc, stride, dilate, low, high, Attributes());
  Ready r;
  Desc preferred;
  if (rectified) {
    const Desc bias({o}, type, memory::format_tag::x);
    dnnl::convolution_forward::primitive_desc whole(Engine(), dnnl::prop_kind::forward_inference, direct, x_desc, free,
                                                    bias, y_desc, stride, dilate, low, high, Attributes(true));
    preferred = whole.weights_desc();
    r.step = {dnnl::convolution_forward(whole), whole};
    r.bias = memory(bias, Engine(), nullptr);
    r.arg_x = DNNL_ARG_SRC, r.arg_w = DNNL_ARG_WEIGHTS, r.arg_y = DNNL_ARG_DST;
  } else if (role == kResult) {
    preferred = forward.weights_desc();
    r.step = {dnnl::convolution_forward(forward), forward};
    r.arg_x = DNNL_ARG_SRC, r.arg_w = DNNL_ARG_WEIGHTS, r.arg_y = DNNL_ARG_DST;
  } else if (role == kInput) {
    const auto first = [&] {
      return dnnl::convolution_backward_data::primitive_desc(Engine(), direct, x_desc, free, y_desc, stride, dilate, low,
                                                             high, forward, Attributes());
    };
    auto back = first();
    // oneDNN 3.2 puts its new kernels first where there is AVX2 alone; by the input the older ones are a fifth faster
    if (std::string(back.impl_info_str()).rfind("brg_fwd:avx2", 0) == 0) {
      auto older = first();
      if (older.next_impl() && std::string(older.impl_info_str()) == "jit:avx2") back = older;
    }
    preferred = back.weights_desc();
    r.step = {dnnl::convolution_backward_data(back), back};
    r.arg_x = DNNL_ARG_DIFF_SRC, r.arg_w = DNNL_ARG_WEIGHTS, r.arg_y = DNNL_ARG_DIFF_DST;
  } else {
    dnnl::convolution_backward_weights::primitive_desc back(Engine(), direct, x_desc, free, y_desc, stride, dilate, low,
                                                            high, forward, Attributes());
    preferred = back.diff_weights_desc();
    r.step = {dnnl::convolution_backward_weights(back), back};
    r.arg_x = DNNL_ARG_SRC, r.arg_w = DNNL_ARG_DIFF_WEIGHTS, r.arg_y = DNNL_ARG_DIFF_DST;
  }
  r.x = memory(x_desc, Engine(), nullptr);
  r.y = memory(y_desc, Engine(), nullptr);
  r.w_plain = memory(plain, Engine(), nullptr);
  r.reordered = preferred != plain;
  if (r.reordered) {
    r.w = memory(preferred, Engine());
    const bool back = role == kWeights;
    const dnnl::reorder::primitive_desc order(back ? r.w : r.w_plain, back ? r.w_plain : r.w, Attributes());
    r.reorder = {dnnl::reorder(order), order};
  }
  return r;
}

// a[m k] or its transpose, times b[k n] or its transpose; `rectified`: the result is max(0, y + bias[n])
Ready MakeDot(int64_t m, int64_t k, int64_t n, bool a_turned, bool b_turned, memory::data_type type, bool rectified) {
  const auto ab = memory::format_tag::ab, ba = memory::format_tag::ba;
  const memory::desc a({m, k}, type, a_turned ? ba : ab), b({k, n}, type, b_turned ? ba : ab), y({m, n}, type, ab);
  const memory::desc bias({1, n}, type, ab);
  Ready r;
  const dnnl::matmul::primitive_desc product =
      rectified ? dnnl::matmul::primitive_desc(Engine(), a, b, bias, y, Attributes(true))
                : dnnl::matmul::primitive_desc(Engine(), a, b, y, Attributes());
  r.step = {dnnl::matmul(product), product};
  if (rectified) r.bias = memory(bias, Engine(), nullptr);
  r.x = memory(a, Engine(), nullptr);
  r.w_plain = memory(b, Engine(), nullptr);
  r.y = memory(y, Engine(), nullptr);
  return r;
}

template <typename Body>
ffi::Error Guarded(int64_t threads, Body body) {
  std::lock_guard<std::mutex> lock(mutex);
  try {
    if (omp_get_max_threads() != threads) omp_set_num_threads(static_cast<int>(threads));
    body();
  } catch (const std::exception &error) {
    return ffi::Error(ffi::ErrorCode::kInternal, std::string("oneDNN: ") + error.what());
  }
  return ffi::Error::Success();
}

void AddBias(Ready &r, const ffi::AnyBuffer *bias, std::unordered_map<int, memory> &operands) {
  if (!bias) return;
  r.bias.set_data_handle(bias->untyped_data());
  operands[DNNL_ARG_BIAS] = r.bias;
}

// `bias` null: the bare convolution
ffi::Error RunConv(ffi::AnyBuffer a, ffi::AnyBuffer b, const ffi::AnyBuffer *bias, ffi::Result<ffi::AnyBuffer> out,
                   int64_t role, Ints strides, Ints padding, Ints dilation, int64_t groups, int64_t threads) {
  return Guarded(threads, [&] {
    const Dims da = Shape(a), db = Shape(b), dr = Shape(*out);
    Dims key{bias ? 2 : 0, role, groups, threads, static_cast<int64_t>(a.element_type())};
    for (const Dims *d : {&da, &db, &dr}) key.insert(key.end(), d->begin(), d->end());
    for (const Ints *d : {&strides, &padding, &dilation}) key.insert(key.end(), d->begin(), d->end());
    Ready &r = Primitives().Get(key, [&] {
      const Dims &x = role == kInput ? dr : da, &w = role == kWeights ? dr : db;
      const Dims &y = role == kResult ? dr : role == kInput ? da : db;
      return MakeConv(role, x, w, y, Type(a), strides, padding, dilation, groups, bias != nullptr);
    });
    void *pa = a.untyped_data(), *pb = b.untyped_data(), *pr = out->untyped_data();
    r.x.set_data_handle(role == kInput ? pr : pa);
    r.y.set_data_handle(role == kResult ? pr : role == kInput ? pa : pb);
    r.w_plain.set_data_handle(role == kWeights ? pr : pb);
    std::unordered_map<int, memory> from_plain{{DNNL_ARG_FROM, r.w_plain}, {DNNL_ARG_TO, r.w}};
    std::unordered_map<int, memory> to_plain{{DNNL_ARG_FROM, r.w}, {DNNL_ARG_TO, r.w_plain}};
    if (r.reordered && role != kWeights) r.reorder.Run(from_plain);
    std::unordered_map<int, memory> operands{
        {r.arg_x, r.x}, {r.arg_w, r.reordered ? r.w : r.w_plain}, {r.arg_y, r.y}};
    AddBias(r, bias, operands);
    r.step.Run(operands);
    if (r.reordered && role == kWeights) r.reorder.Run(to_plain);
    Stream().wait();
  });
}

ffi::Error Conv(ffi::AnyBuffer a, ffi::AnyBuffer b, ffi::Result<ffi::AnyBuffer> out, int64_t role, Ints strides,
                Ints padding, Ints dilation, int64_t groups, int64_t threads) {
  return RunConv(a, b, nullptr, out, role, strides, padding, dilation, groups, threads);
}

ffi::Error ConvRelu(ffi::AnyBuffer a, ffi::AnyBuffer b, ffi::AnyBuffer bias, ffi::Result<ffi::AnyBuffer> out,
                    int64_t role, Ints strides, Ints padding, Ints dilation, int64_t groups, int64_t threads) {
  return RunConv(a, b, &bias, out, role, strides, padding, dilation, groups, threads);
}

ffi::Error RunDot(ffi::AnyBuffer a, ffi::AnyBuffer b, const ffi::AnyBuffer *bias, ffi::Result<ffi::AnyBuffer> out,
                  int64_t a_turned, int64_t b_turned, int64_t threads) {
  return Guarded(threads, [&] {
    const auto da = a.dimensions(), dr = out->dimensions();
    const int64_t m = dr[0], n = dr[1], k = a_turned ? da[0] : da[1];
    const Dims key{bias ? 3 : 1, m, k, n, a_turned, b_turned, threads, static_cast<int64_t>(a.element_type())};
    Ready &r = Primitives().Get(key, [&] { return MakeDot(m, k, n, a_turned, b_turned, Type(a), bias != nullptr); });
    r.x.set_data_handle(a.untyped_data());
    r.w_plain.set_data_handle(b.untyped_data());
    r.y.set_data_handle(out->untyped_data());
    std::unordered_map<int, memory> operands{
        {DNNL_ARG_SRC, r.x}, {DNNL_ARG_WEIGHTS, r.w_plain}, {DNNL_ARG_DST, r.y}};
    AddBias(r, bias, operands);
    r.step.Run(operands);
    Stream().wait();
  });
}

ffi::Error Dot(ffi::AnyBuffer a, ffi::AnyBuffer b, ffi::Result<ffi::AnyBuffer> out, int64_t a_turned, int64_t b_turned,
               int64_t threads) {
  return RunDot(a, b, nullptr, out, a_turned, b_turned, threads);
}

ffi::Error DotRelu(ffi::AnyBuffer a, ffi::AnyBuffer b, ffi::AnyBuffer bias, ffi::Result<ffi::AnyBuffer> out,
                   int64_t a_turned, int64_t b_turned, int64_t threads) {
  return RunDot(a, b, &bias, out, a_turned, b_turned, threads);
}

}  // namespace

extern "C" int64_t rljax_primitives() {
  std::lock_guard<std::mutex> lock(mutex);
  return static_cast<int64_t>(Primitives().size());
}

extern "C" int rljax_has_amx() {
  const auto amx = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_amx);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & amx) == amx;
}

#define CONV_ATTRIBUTES \
  Attr<int64_t>("role") \
      .Attr<Ints>("strides") \
      .Attr<Ints>("padding") \
      .Attr<Ints>("dilation") \
      .Attr<int64_t>("groups") \
      .Attr<int64_t>("threads")
#define DOT_ATTRIBUTES Attr<int64_t>("a_turned").Attr<int64_t>("b_turned").Attr<int64_t>("threads")
#define TWO_TO_ONE ffi::Ffi::Bind().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>()
#define THREE_TO_ONE \
  ffi::Ffi::Bind().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Arg<ffi::AnyBuffer>().Ret<ffi::AnyBuffer>()

XLA_FFI_DEFINE_HANDLER_SYMBOL(rljax_conv, Conv, TWO_TO_ONE.CONV_ATTRIBUTES);
XLA_FFI_DEFINE_HANDLER_SYMBOL(rljax_conv_relu, ConvRelu, THREE_TO_ONE.CONV_ATTRIBUTES);
XLA_FFI_DEFINE_HANDLER_SYMBOL(rljax_dot, Dot, TWO_TO_ONE.DOT_ATTRIBUTES);
XLA_FFI_DEFINE_HANDLER_SYMBOL(rljax_dot_relu, DotRelu, THREE_TO_ONE.DOT_ATTRIBUTES);
