// One subcommand while it is put together (CLI11): the options that many share, and checks of what
// they are given.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "cli/cache_types.h"
#include "cli/commands.h"

namespace enxuto {

inline constexpr double kMostTokens = 1e9;

using Action = std::function<Status()>;

// Its options live as long as its action.
template <class Options>
struct Subcommand {
  Subcommand(CLI::App& app, const char* name, const char* what, const char* examples,
             Status (*run)(const Options&), Action& action, bool needs_model = true)
      : options(std::make_shared<Options>()), command(app.add_subcommand(name, what)) {
    command->footer(std::string("Examples:\n") + examples);
    command->add_option("MODEL,-m,--model", options->model, "GGUF file, or a Hugging Face folder")
        ->required(needs_model);
    number("-t,--threads", options->n_threads, "Threads (default: the cores this process may use)",
           1, 1024);
    size("--memory", options->memory_bytes,
         "Memory that may be taken in all (default: what the machine leaves free)");
    command->callback([&action, run, kept = options] { action = [=] { return run(*kept); }; });
  }

  // What `parse` makes of an argument.
  void parsed(const char* name, uint64_t& value, Result<uint64_t> (*parse)(std::string_view text),
              const char* what, const char* type) {
    command
        ->add_option_function<std::string>(
            name,
            [&value, name, parse](const std::string& text) {
              const Result<uint64_t> found = parse(text);
              if (!found.ok())
                throw CLI::ValidationError(
                    name, fmt::format("{}; {}", found.status().what(), found.status().todo()));
              if (*found == 0) throw CLI::ValidationError(name, "must be more than nothing");
              value = *found;
            },
            what)
        ->type_name(type);
  }
  void size(const char* name, uint64_t& bytes, const char* what) {
    parsed(name, bytes, parse_bytes, what, "SIZE");
  }
  // Parameters, as 5M.
  void count(const char* name, uint64_t& value, const char* what) {
    parsed(name, value, parse_count, what, "COUNT");
  }
  void context(const char* what) {
    number("-c,--context", options->context, what, 1, kMostTokens);
    number("-b,--batch", options->batch, "Tokens of one pass over the prompt", 1, kMostTokens);
  }
  // How the KV cache keeps its numbers; may_choose: "auto" is understood.
  void cache_types(bool may_choose) {
    const auto add = [&](const char* name, const std::string& what, Type KvFormat::*part,
                         bool CacheParts::*automatic) {
      command
          ->add_option_function<std::string>(
              name,
              [kept = options, name, part, automatic, may_choose](const std::string& text) {
                kept->automatic.*automatic = may_choose && text == "auto";
                if (kept->automatic.*automatic) return;
                const Status parsed = set_cache_types(text, part, kept->kv);
                if (!parsed.ok())
                  throw CLI::ValidationError(name,
                                             fmt::format("{}; {}", parsed.what(), parsed.todo()));
              },
              what)
          ->type_name("FORMAT");
    };
    add("--cache-type-k",
        std::string("-ctk: keys in the KV cache as f16 (default), q8_0 or q4_0; layers apart: "
                    "q4_0,0-2=q8_0") +
            (may_choose ? "; auto: by measured loss, no smaller than fits" : ""),
        &KvFormat::key, &CacheParts::keys);
    add("--cache-type-v", "-ctv: values in the KV cache, likewise", &KvFormat::value,
        &CacheParts::values);
  }
  // How tokens are drawn.
  void sampling() {
    SamplingOptions& s = options->sampling;
    number("--temp", s.temperature, "Temperature; 0: always the most probable token", 0, 1000);
    number("--top-k", s.top_k, "Choose among the k most probable tokens; 0: all", 0, 1e9);
    number("--top-p", s.top_p, "Choose among the most probable tokens that share p", 0, 1);
    number("--min-p", s.min_p, "Leave out tokens below this share of the best one", 0, 1);
  }
  void repeat_penalty() {
    number("--repeat-penalty", options->sampling.repeat_penalty,
           "Make recent tokens less probable; 1: off", 0.01, 100);
  }
  void stops() {
    command->add_option("--stop", options->stops, "End before this text comes; may be given again")
        ->type_name("TEXT")
        ->allow_extra_args(false);
  }
  // A value by its name.
  template <class T>
  void choice(const char* option, T& value, const std::vector<std::pair<std::string, T>>& known,
              const std::string& what) {
    std::vector<std::string> names;
    for (const auto& each : known) names.push_back(each.first);
    command
        ->add_option_function<std::string>(
            option,
            [&value, known](const std::string& name) {
              for (const auto& each : known)
                if (each.first == name) value = each.second;
            },
            what)
        ->check(CLI::IsMember(names));
  }
  void effort(Effort& effort, const char* what) {
    choice<Effort>("--effort", effort,
                   {{"fast", Effort::kFast}, {"normal", Effort::kNormal}, {"best", Effort::kBest}},
                   what);
  }
  // How weights learn; prefix: of what command.
  void learning(LearningOptions& o, const std::string& prefix) {
    std::vector<std::pair<std::string, Optimizer>> optimizers;
    for (const Optimizer each :
         {Optimizer::kAdamW, Optimizer::kAdamW8bit, Optimizer::kApollo, Optimizer::kSgd})
      optimizers.emplace_back(optimizer_name(each), each);
    choice("--optimizer", o.optimizer, optimizers,
           prefix +
               "adamw (default), adamw8 with moments of 8 bits, apollo with next to none, or "
               "sgd with momentum");
    choice<Type>("--weights", o.weights, {{"f32", Type::F32}, {"bf16", Type::BF16}},
                 prefix + "f32 (default), or bf16, rounded up or down by chance");
    choice<bool>("--compute", o.rounds_products, {{"f32", false}, {"bf16", true}},
                 prefix +
                     "f32 (default), or products of bf16 numbers, about twice as fast where "
                     "the processor has them");
    command->add_flag("--keep-activations", o.keeps_activations,
                      prefix +
                          "keep what layers compute for the way back, instead of computing it "
                          "again: faster, in more memory");
    command->add_flag("--lora", o.lora,
                      prefix + "all weights stay as they are, and a low-rank adapter learns");
    number("--ema", o.ema,
           (prefix + "The model is an average of the weights, of which each step leaves so much, "
                     "as 0.999 (default: no average)")
               .c_str(),
           0, 0.999999);
    command->add_option("--rank", o.lora_rank, prefix + "its rank (default: 16)")
        ->check(CLI::Range(1u, 4096u), "")
        ->type_name("N");
  }
  CLI::Option* lora(const char* what) {
    return command->add_option("--lora", options->lora_file, what)->type_name("ADAPTER");
  }
  void report() {
    command
        ->add_option("--report", options->report_file,
                     "Write what was planned, taken and found here, as .json or .html")
        ->type_name("FILE");
  }
  void json() {
    command->add_flag("--json", options->json, "Report as JSON (docs/json.md)")
        ->configurable(false);
  }
  // Bounds hold for what is no number at all, too.
  template <class T>
  CLI::Option* number(const char* name, T& value, const char* what, double least, double most) {
    const auto within = [=](const std::string& text) -> std::string {
      double number = 0;
      if (CLI::detail::lexical_cast(text, number) && number >= least && number <= most) return {};
      return fmt::format("'{}' is not a number from {:.10g} to {:.10g}", text, least, most);
    };
    return command->add_option(name, value, what)->check(within, "")->type_name("N");
  }

  std::shared_ptr<Options> options;
  CLI::App* command;
};

}  // namespace enxuto
