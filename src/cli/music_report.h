// What a tune is beside the music that a model learned from, and beside music that it did not.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "cli/json_output.h"
#include "infer/session.h"
#include "media/music_codec.h"

namespace enxuto {

// The k-gram model's, while music is compared.
inline constexpr uint64_t kKGramBytes = uint64_t{64} << 20;

struct ComparedMusic {
  std::vector<std::string> training, held_out;  // files and folders; held_out may be empty
  std::span<const Token> tune;                  // as encode_music says it
};

// The keys `training`, `longest_match` and, where there is some, `held_out` of docs/json.md.
Result<Json> compare_music(Session& session, const MusicCodec& codec, const ComparedMusic& music,
                           const Progress& progress);
void print_comparison(const Json& report);

}  // namespace enxuto
