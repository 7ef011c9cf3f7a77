#include "models/hugging_face.h"

#include <fmt/format.h>

namespace enxuto {

Result<std::shared_ptr<const Model>> open_hugging_face(const std::string& path, bool) {
  return Status::bad_input(fmt::format("{} is a folder", path), "give a .gguf file");
}

}  // namespace enxuto
