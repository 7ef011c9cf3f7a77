// A tiny model in a file that is gone with it.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "models/model.h"
#include "platform/scratch_folder.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {

class TemporaryModel {
 public:
  TemporaryModel(const TinyOptions& options, Type type)
      : TemporaryModel(tiny_model(options), type) {}
  TemporaryModel(const TinyModel& tiny, Type type) {
    open(write_tiny_gguf(tiny, type, folder_.path("model.gguf")), folder_.path("model.gguf"));
  }
  // As a Hugging Face folder, in F32.
  explicit TemporaryModel(const TinyModel& tiny) {
    open(write_tiny_folder(tiny, folder_.path()), folder_.path());
  }
  TemporaryModel(const TemporaryModel&) = delete;

  const std::shared_ptr<const Model>& get() const { return model_; }

 private:
  void open(const Status& written, const std::string& path) {
    EXPECT_TRUE(written.ok()) << written.what();
    auto model = open_model(path);
    EXPECT_TRUE(model.ok()) << model.status().what();
    if (model.ok()) model_ = *model;
  }

  ScratchFolder folder_;
  std::shared_ptr<const Model> model_;
};

// Those that come as Hugging Face folders, too, and their names.
inline std::vector<TinyOptions> folder_models() {
  return {{.architecture = "llama", .rope_factors = false},
          {.architecture = "llama", .add_bos = true, .rope_factors = false, .attention_bias = true},
          {.architecture = "qwen2"},
          {.architecture = "qwen3"},
          {.architecture = "gemma3"},
          {.architecture = "gpt2"}};
}
inline std::string name_of(const TinyOptions& options) {
  return options.architecture + (options.attention_bias ? "_with_biases" : "");
}

}  // namespace enxuto
