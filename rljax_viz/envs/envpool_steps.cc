// A step of an envpool as ONE operation of any compiled program: envpool's own XLA operations `send` and `recv`, called
// with the pool that is played now. Compiled programs hold a slot's number, not a pool's address, so that a new pool
// (one a checkpoint) needs no new compilation. Built and loaded by envpool_steps.py.
#include <algorithm>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include "xla/ffi/api/c_api.h"

namespace {

struct Slot {
  std::mutex busy;
  XLA_FFI_Handler *send = nullptr, *recv = nullptr;
  int64_t handle = 0;
  int32_t ticket[2] = {0, 0};
  int32_t games = 0, actions = 0;
};

std::mutex g_slots_mutex;
std::deque<Slot> g_slots;

XLA_FFI_Error *Refuse(const XLA_FFI_CallFrame *frame, const std::string &why) {
  XLA_FFI_Error_Create_Args args = {};
  args.struct_size = XLA_FFI_Error_Create_Args_STRUCT_SIZE;
  args.message = why.c_str();
  args.errc = XLA_FFI_Error_Code_INVALID_ARGUMENT;
  return frame->api->XLA_FFI_Error_Create(&args);
}

XLA_FFI_Buffer Buffer(XLA_FFI_DataType dtype, void *data, int64_t *dims) {
  XLA_FFI_Buffer buffer = {};
  buffer.struct_size = XLA_FFI_Buffer_STRUCT_SIZE;
  buffer.dtype = dtype;
  buffer.data = data;
  buffer.rank = 1;
  buffer.dims = dims;
  return buffer;
}

// The handler of envpool, with the frame of this call but these operands, results and this pool.
XLA_FFI_Error *Call(XLA_FFI_Handler *handler, const XLA_FFI_CallFrame *outer, int64_t handle, std::vector<void *> args,
                    std::vector<void *> rets) {
  static char name[] = "handle";
  XLA_FFI_ByteSpan span = {};
  span.ptr = name;
  span.len = 6;
  XLA_FFI_ByteSpan *names[] = {&span};
  XLA_FFI_Scalar scalar = {};
  scalar.dtype = XLA_FFI_DataType_S64;
  scalar.value = &handle;
  XLA_FFI_AttrType attr_types[] = {XLA_FFI_AttrType_SCALAR};
  void *attrs[] = {&scalar};
  std::vector<XLA_FFI_ArgType> arg_types(args.size(), XLA_FFI_ArgType_BUFFER);
  std::vector<XLA_FFI_RetType> ret_types(rets.size(), XLA_FFI_RetType_BUFFER);
  XLA_FFI_CallFrame frame = *outer;
  frame.args.size = static_cast<int64_t>(args.size());
  frame.args.types = arg_types.data();
  frame.args.args = args.data();
  frame.rets.size = static_cast<int64_t>(rets.size());
  frame.rets.types = ret_types.data();
  frame.rets.rets = rets.data();
  frame.attrs.size = 1;
  frame.attrs.types = attr_types;
  frame.attrs.names = names;
  frame.attrs.attrs = attrs;
  return handler(&frame);
}

std::string Pair(const int32_t *pair) { return "[" + std::to_string(pair[0]) + ", " + std::to_string(pair[1]) + "]"; }

// (ticket[2], action[N], env_id[N], players[N]) -> (ticket[2], *what recv gives), attribute slot.
XLA_FFI_Error *Step(XLA_FFI_CallFrame *frame, Slot &slot) {
  auto **in = reinterpret_cast<XLA_FFI_Buffer **>(frame->args.args);
  auto **out = reinterpret_cast<XLA_FFI_Buffer **>(frame->rets.rets);
  const auto *ticket = static_cast<const int32_t *>(in[0]->data);
  const auto *action = static_cast<const int32_t *>(in[1]->data);
  std::lock_guard<std::mutex> lock(slot.busy);
  if (!slot.send)
    return Refuse(frame, "no pool of games is open here: call env.reset(key) first, and keep the environment as long "
                         "as the programs that step it");
  if (ticket[0] != slot.ticket[0] || ticket[1] != slot.ticket[1])
    return Refuse(frame, "this state is not the newest of its environment (pool and step " + Pair(ticket) + ", now " +
                             Pair(slot.ticket) +
                             "): a pool of games cannot go back. Use each state once, and make one environment a "
                             "purpose: envs.make(...) again for evaluation");
  if (in[1]->dims[0] != slot.games)
    return Refuse(frame, std::to_string(in[1]->dims[0]) + " actions for a pool of " + std::to_string(slot.games) +
                             " games: as many agents must step as were reset, each with a key of its own: "
                             "vmap(env.reset)(keys[S]), vmap(env.step)(state, action[S B])");
  const auto [least, most] = std::minmax_element(action, action + slot.games);
  if (*least < 0 || *most >= slot.actions)  // the game itself would read past its table
    return Refuse(frame, "actions from " + std::to_string(*least) + " to " + std::to_string(*most) +
                             ", expected 0 to " + std::to_string(slot.actions - 1) + ": see env.action_names");
  int64_t eight = 8;
  int64_t address = slot.handle;
  XLA_FFI_Buffer handle = Buffer(XLA_FFI_DataType_U8, &address, &eight);
  if (auto *error = Call(slot.send, frame, slot.handle, {&handle, in[2], in[3], in[1]}, {&handle})) return error;
  std::vector<void *> results = {&handle};
  for (int64_t i = 1; i < frame->rets.size; ++i) results.push_back(out[i]);
  if (auto *error = Call(slot.recv, frame, slot.handle, {&handle}, results)) return error;
  slot.ticket[1] += 1;
  auto *next = static_cast<int32_t *>(out[0]->data);
  next[0] = slot.ticket[0];
  next[1] = slot.ticket[1];
  return nullptr;
}

}  // namespace

extern "C" {

int64_t rljax_pool_open() {
  std::lock_guard<std::mutex> lock(g_slots_mutex);
  g_slots.emplace_back();
  return static_cast<int64_t>(g_slots.size()) - 1;
}

// From now on slot plays this pool; waits for a step in flight, so that the old pool may go afterwards.
void rljax_pool_set(int64_t slot, void *send, void *recv, int64_t handle, int32_t number, int32_t games,
                    int32_t actions) {
  g_slots_mutex.lock();
  Slot &at = g_slots[static_cast<size_t>(slot)];
  g_slots_mutex.unlock();
  std::lock_guard<std::mutex> lock(at.busy);
  at.send = reinterpret_cast<XLA_FFI_Handler *>(send);
  at.recv = reinterpret_cast<XLA_FFI_Handler *>(recv);
  at.handle = handle;
  at.ticket[0] = number;
  at.ticket[1] = 0;
  at.games = games;
  at.actions = actions;
}

XLA_FFI_Error *rljax_pool_step(XLA_FFI_CallFrame *frame) {
  if (frame->extension_start && frame->extension_start->type == XLA_FFI_Extension_Metadata) {
    auto *metadata = reinterpret_cast<XLA_FFI_Metadata_Extension *>(frame->extension_start)->metadata;
    metadata->api_version.major_version = XLA_FFI_API_MAJOR;
    metadata->api_version.minor_version = XLA_FFI_API_MINOR;
    metadata->traits = 0;
    return nullptr;
  }
  if (frame->args.size != 4 || frame->attrs.size != 1) return Refuse(frame, "four operands and one attribute expected");
  const auto number = *static_cast<int64_t *>(static_cast<XLA_FFI_Scalar *>(frame->attrs.attrs[0])->value);
  g_slots_mutex.lock();
  Slot *slot = number >= 0 && number < static_cast<int64_t>(g_slots.size()) ? &g_slots[number] : nullptr;
  g_slots_mutex.unlock();
  if (!slot) return Refuse(frame, "no such slot of games in this process");
  return Step(frame, *slot);
}
}
