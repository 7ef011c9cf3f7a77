#include "cli/output_name.h"

#include <fmt/format.h>

#include "platform/file.h"

namespace enxuto {

Status check_output(const Model& model, const std::string& path, bool force) {
  for (const auto& file : model.files)
    if (same_file(file->path(), path))
      return Status::usage("the output is the input itself", "choose another name");
  if (!force && file_exists(path))
    return Status::usage(fmt::format("{} exists already", path),
                         "choose another name, or say --force to replace it");
  return {};
}

}  // namespace enxuto
