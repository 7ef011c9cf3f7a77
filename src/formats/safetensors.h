// safetensors: 8 bytes of header length, a JSON header, then the tensors' bytes. Also a Hugging
// Face folder of shards (model.safetensors.index.json). Untrusted bytes in, validated views out.
// Source: the safetensors format description.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "formats/gguf.h"
#include "platform/file.h"

namespace enxuto {

struct SafetensorsFile {
  std::vector<Tensor> tensors;  // names as the file has them; shape in our (reversed, contiguous
                                // first) order; F32 F16 BF16 I8…
  std::vector<std::shared_ptr<const MappedFile>> files;
};

// FOLDER/model.safetensors, or the shards that FOLDER/model.safetensors.index.json names.
Result<SafetensorsFile> open_safetensors_folder(const std::string& folder);
Result<SafetensorsFile> parse_safetensors(ByteView bytes);

}  // namespace enxuto
