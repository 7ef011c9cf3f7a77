#include "compress/state.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/bytes.h"
#include "formats/json.h"

namespace enxuto {
namespace {

constexpr const char* kKeyName = "state.json";
constexpr uint64_t kMostKeyBytes = 1 << 16;

// What the measurements depend on, each with what it is called where it differs.
struct KeyField {
  const char *name, *what;
  std::string value;
};

template <class T>
ByteView bytes_of_value(const T& value) {
  return bytes_of(std::span<const T>(&value, 1));
}

void add_text(StreamHash& hash, std::string_view text) {
  hash.add(bytes_of_value(uint64_t{text.size()}));
  hash.add(bytes_of(std::span<const char>(text)));
}

// What the model computes, but for its weights. A tokenizer shows in the calibration text.
std::string hash_of(const Model& model) {
  StreamHash hash;
  for (const auto& [key, value] : model.metadata.entries()) {
    if (key.starts_with("tokenizer.") || key.starts_with("general.")) continue;
    add_text(hash, key);
    hash.add(value.payload);
  }
  add_text(hash, model.hyper.architecture);
  for (const Tensor& tensor : model.tensors) {
    add_text(hash, tensor.name);
    hash.add(bytes_of_value(tensor.type));
    hash.add(bytes_of(std::span<const uint64_t>(tensor.shape)));
  }
  return hash.hex();
}

std::string hash_of(const CalibrationChunks& chunks) {
  StreamHash hash;
  for (const auto* kind : {&chunks.fit, &chunks.held_out}) {
    hash.add(bytes_of_value(uint64_t{kind->size()}));
    for (const std::vector<Token>& chunk : *kind) {
      hash.add(bytes_of_value(uint64_t{chunk.size()}));
      hash.add(bytes_of(std::span<const Token>(chunk)));
    }
  }
  return hash.hex();
}

// All that Effort decides, as the plan has it: also where another version of it decides otherwise.
std::string effort_of(const CompressionPlan& plan) {
  const CalibrationShape& shape = plan.shape;
  return fmt::format("{}x{} {}x{} {} {} {} {}", shape.fit_chunks, shape.fit_tokens,
                     shape.probe_chunks, shape.probe_tokens, plan.weigh_chunks, plan.sweeps,
                     plan.sweeps_to_compare, plan.survey.size());
}

std::string hash_of(const Importance& brought, const Model& model) {
  StreamHash hash;
  for (size_t i = 0; i < model.tensors.size(); ++i)
    if (const auto it = brought.find(&model.tensors[i]); it != brought.end()) {
      hash.add(bytes_of_value(uint64_t{i}));
      hash.add(bytes_of(it->second));
    }
  return hash.hex();
}

bool is_unfinished(const std::string& name) { return name.find(".part-") != std::string::npos; }

Status is_of_another(const WorkFolder& folder, const char* what) {
  return Status::usage(
      fmt::format("{} is the state of another compression: {} differs", folder.path(), what),
      fmt::format("name another folder with --state, or remove {}", folder.path()));
}

// All values are plain ASCII.
Status write_key(const WorkFolder& folder, const std::vector<KeyField>& key) {
  std::string text;
  for (const KeyField& field : key)
    text += fmt::format("{}\"{}\": \"{}\"", text.empty() ? "{" : ",\n ", field.name, field.value);
  text += "}\n";
  ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(folder.path(kKeyName), /*replace=*/true));
  TRY(file.write(bytes_of(std::span<const char>(text))));
  return file.commit();
}

Status match(const WorkFolder& folder, const std::vector<KeyField>& key) {
  const Status strangers =
      Status::usage(fmt::format("{} holds other files than a compression's state", folder.path()),
                    "name a folder that is empty or missing");
  if (!folder.has(kKeyName))
    return std::ranges::all_of(folder.names(), is_unfinished) ? write_key(folder, key) : strangers;
  ASSIGN_OR_RETURN(const std::string text, read_text_file(folder.path(kKeyName), kMostKeyBytes));
  const Result<Json> json = Json::parse(text);
  if (!json.ok() || !json_string(json->root, key.front().name)) return strangers;
  for (const KeyField& field : key)
    if (json_string(json->root, field.name) != field.value)
      return is_of_another(folder, field.what);
  return {};
}

}  // namespace

std::string numbered(const char* kind, uint64_t number) {
  return fmt::format("{}-{}", kind, number);
}

Result<std::unique_ptr<State>> State::open(const std::string& path, const StateOrigin& origin,
                                           Notice notice) {
  ASSIGN_OR_RETURN(WorkFolder folder, WorkFolder::open(path));
  std::unique_ptr<State> state(new State(std::move(folder), std::move(notice)));
  TRY(match(state->folder_,
            {{"enxuto_state", "its format", std::to_string(kStateFormat)},
             {"program", "the version of enxuto", ENXUTO_VERSION},
             {"model", "the model", hash_of(origin.model)},
             {"effort", "--effort", effort_of(origin.plan)},
             {"text", "the calibration text", hash_of(origin.chunks)},
             {"imatrix", "the importance matrix", hash_of(origin.brought, origin.model)}}));
  for (const std::string& name : state->folder_.names())
    if (is_unfinished(name)) TRY(state->remove(name));
  const uint64_t there = state->bytes(), free = state->folder_.free_bytes(),
                 most = origin.plan.state_bytes;
  if (most <= there || most - there <= free) return state;
  return Status::failed(fmt::format("{} may grow to {}, and its disk has {} left", path,
                                    format_bytes(most), format_bytes(free)),
                        "free some space there, or name a folder on another disk");
}

Status State::match_weights(const StreamHash& hash) const {
  const std::string now = hash.hex();
  if (!has(record::kWeights)) return put(record::kWeights, std::span<const char>(now));
  ASSIGN_OR_RETURN(const std::vector<char> before, get<char>(record::kWeights));
  if (std::string_view(before.data(), before.size()) == now) return {};
  return is_of_another(folder_, "one of the model's weights");
}

void State::begins(const std::string& stage, uint32_t layers, uint32_t of) {
  const bool goes_on = layers < of && (layers > 0 || !taken_over_.empty());
  if (layers > 0) taken_over_.push_back({stage, layers, of});
  if (!goes_on || !notice_) return;
  notice_(
      fmt::format("{}: going on with {}, layer {} of {}", folder_.path(), stage, layers + 1, of));
  notice_ = {};
}

}  // namespace enxuto
