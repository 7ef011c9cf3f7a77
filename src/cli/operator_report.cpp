#include "cli/operator_report.h"

#include <fmt/format.h>

#include <numeric>
#include <vector>

#include "cli/terminal_text.h"
#include "kernels/limits.h"

namespace enxuto {
namespace {

struct OperatorName {
  const char *key, *text;
};
constexpr OperatorName kNames[kOperators] = {
    {"qkv", "q, k and v"},      {"attention", "attention"}, {"attention_output", "its output"},
    {"gate_up", "gate and up"}, {"down", "down"},           {"head", "head"},
};

double rate(double amount, double seconds) { return seconds > 0 ? amount / seconds : 0; }

// What no operator takes: norms, rope, the cache, embeddings.
double rest_of(const TimedPasses& passes) {
  return std::accumulate(passes.operators.begin(), passes.operators.end(), passes.seconds,
                         [](double rest, const OperatorTime& op) { return rest - op.seconds; });
}

std::string milliseconds(double seconds, const TimedPasses& passes) {
  return fmt::format("{:.3f}", 1e3 * rate(seconds, static_cast<double>(passes.tokens)));
}

std::string share(double seconds, const TimedPasses& passes) {
  return fmt::format("{:.0f} %", 100 * rate(seconds, passes.seconds));
}

std::string billions(double amount, double seconds) {
  return amount > 0 ? fmt::format("{:.1f}", 1e-9 * rate(amount, seconds)) : "";
}

}  // namespace

MachineLimits measure_limits(Session& session) {
  MachineLimits limits{.product_rate = product_rate(session.team())};
  if (session.stream_statistics().bytes_per_pass == 0) {
    std::vector<std::span<const uint8_t>> weights;
    // Of an embedding that is no head rows alone are read, and the plan has no more of it.
    const Model& model = session.model();
    for (const Tensor& tensor : model.tensors)
      if (&tensor != model.token_embedding || model.tied()) weights.push_back(tensor.data);
    limits.read_rate = read_rate(session.team(), weights);
  }
  return limits;
}

Json operators_json(const TimedPasses& passes) {
  const auto tokens = static_cast<double>(passes.tokens);
  Json json;
  for (size_t i = 0; i < kOperators; ++i) {
    const OperatorTime& op = passes.operators[i];
    json[kNames[i].key] = {
        {"seconds_per_token", rate(op.seconds, tokens)},
        {"weight_bytes_per_second", rate(static_cast<double>(op.weight_bytes), op.seconds)},
        {"products_per_second", rate(static_cast<double>(op.products), op.seconds)}};
  }
  json["rest"] = {{"seconds_per_token", rate(rest_of(passes), tokens)}};
  return json;
}

void print_operators(const TimedPasses& decode, const TimedPasses& prefill,
                     const MachineLimits& limits) {
  Table table({"where the time goes", ">decode, ms", ">share", ">GB/s", ">prefill, ms", ">share",
               ">G products/s"});
  OperatorTime read, multiplied;
  const auto add_to = [](OperatorTime& sum, const OperatorTime& op) {
    if (op.weight_bytes == 0) return;
    sum.seconds += op.seconds, sum.weight_bytes += op.weight_bytes, sum.products += op.products;
  };
  for (size_t i = 0; i < kOperators; ++i) {
    const OperatorTime &d = decode.operators[i], &p = prefill.operators[i];
    table.add({kNames[i].text, milliseconds(d.seconds, decode), share(d.seconds, decode),
               billions(static_cast<double>(d.weight_bytes), d.seconds),
               milliseconds(p.seconds, prefill), share(p.seconds, prefill),
               billions(static_cast<double>(p.products), p.seconds)});
    add_to(read, d), add_to(multiplied, p);
  }
  table.add({"the rest", milliseconds(rest_of(decode), decode), share(rest_of(decode), decode), "",
             milliseconds(rest_of(prefill), prefill), share(rest_of(prefill), prefill), ""});
  table.add({"weights, all together", "", "",
             billions(static_cast<double>(read.weight_bytes), read.seconds), "", "",
             billions(static_cast<double>(multiplied.products), multiplied.seconds)});
  table.add({"this machine at most", "", "", billions(limits.read_rate, 1), "", "",
             billions(limits.product_rate, 1)});
  table.print(Paint(Stream::kOutput));
}

}  // namespace enxuto
