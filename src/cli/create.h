// create: what a model of a medium makes. A kind is a subcommand of its own (create_KIND.cpp), over
// what is common to all: the model, its codec, and sessions inside the memory.
#pragma once

#include <memory>
#include <optional>

#include "cli/subcommand.h"
#include "infer/ruled_generation.h"
#include "media/codec.h"

namespace enxuto {

struct CreateOptions : CommonOptions {
  std::string output;
  SamplingOptions sampling = {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};
  std::optional<uint64_t> seed;
  bool force = false;
};

// Options of all kinds: -o, --temp …, --seed, --force, --json.
template <class Options>
void add_create_options(Subcommand<Options>& c, const char* output) {
  Options& o = *c.options;
  c.command->add_option("-o,--output", o.output, output)->required();
  c.sampling();
  c.command->add_option("--seed", o.seed, "Same seed: the same result")->type_name("N");
  c.command->add_flag("--force", o.force, "Replace what is to be written where it exists");
  c.json();
}

struct Creator {
  std::shared_ptr<const Model> model;
  std::unique_ptr<MediaCodec> codec;
  std::unique_ptr<Session> session;
  std::unique_ptr<Session> untold;  // for guidance; null: none was asked for
  SamplingOptions sampling;         // with the seed

  // kBadInput where the model is of another medium; kUsage where the output exists.
  static Result<Creator> open(const CreateOptions& options, std::string_view kind, bool guided);
};

// For commands that are about text. kBadInput with the command that suits the model.
Status check_is_text(const Model& model);

uint64_t random_seed();  // another one each time

void add_create_text(CLI::App& create, Action& action);
void add_create_table(CLI::App& create, Action& action);
void add_create(CLI::App& app, Action& action);
void add_create_image(CLI::App& create, Action& action);
void add_create_music(CLI::App& create, Action& action);

}  // namespace enxuto
