#include "cli/output_name.h"

#include "platform/file.h"

namespace enxuto {

Status check_output(const Model& model, const std::string& path, bool force) {
  for (const auto& file : model.files)
    if (same_file(file->path(), path))
      return Status::usage("the output is the input itself", "choose another name");
  return check_is_free(path, force);
}

}  // namespace enxuto
