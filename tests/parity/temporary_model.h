// A tiny model in a file that is gone with it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <memory>

#include "models/model.h"
#include "tests/tiny/tiny_model.h"

namespace enxuto {

class TemporaryModel {
 public:
  TemporaryModel(const TinyOptions& options, Type type)
      : TemporaryModel(tiny_model(options), type) {}
  TemporaryModel(const TinyModel& tiny, Type type) {
    open(write_tiny_gguf(tiny, type, folder_ / "model.gguf"), folder_ / "model.gguf");
  }
  // As a Hugging Face folder, in F32.
  explicit TemporaryModel(const TinyModel& tiny) {
    open(write_tiny_folder(tiny, folder_), folder_);
  }
  ~TemporaryModel() { std::filesystem::remove_all(folder_); }
  TemporaryModel(const TemporaryModel&) = delete;

  const std::shared_ptr<const Model>& get() const { return model_; }

 private:
  static std::filesystem::path new_folder() {
    static int count = 0;
    auto folder = std::filesystem::temp_directory_path() /
                  ("enxuto-" + std::to_string(getpid()) + "-" + std::to_string(count++));
    std::filesystem::create_directories(folder);
    return folder;
  }
  void open(const Status& written, const std::string& path) {
    EXPECT_TRUE(written.ok()) << written.what();
    auto model = open_model(path);
    EXPECT_TRUE(model.ok()) << model.status().what();
    if (model.ok()) model_ = *model;
  }

  std::filesystem::path folder_ = new_folder();
  std::shared_ptr<const Model> model_;
};

}  // namespace enxuto
