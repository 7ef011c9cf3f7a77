// Texts and conversations into a token file, in a stream: memory does not grow with the texts.
//
// What may be named: text files; JSON lines (.jsonl, .ndjson); folders, whose files are taken
// whatever their depth, in the order of their names, each once, without hidden ones and such that
// are no text.
//
// A text file is one document. A line of JSON lines is an object, of the first kind that fits:
//   {"text": …}                                  a document
//   {"messages": [{"role": …, "content": …}, …]} a conversation; learned: what the assistant says
//   {"prompt" or "instruction": …, and maybe "input": …,
//    "completion", "response", "output" or "answer": …}   learned: the answer
// A document is [BOS where the tokenizer adds one] text [end of text], learned whole. Conversations
// and prompts go through the chat template, and end in an end of text that is not learned; answers
// are learned with the token that ends a turn. Without a chat template contents are joined, by a
// new line where there is no white space between them, and the end of text is learned.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/progress.h"
#include "base/status.h"
#include "data/token_file.h"
#include "tokenizer/tokenizer.h"

namespace enxuto {

// Longer lines of JSON lines count as corrupt. While a line is read it takes some four times its
// bytes of memory where it is one long text, and up to fourteen times where it is mostly numbers.
inline constexpr uint64_t kMostLineBytes = uint64_t{4} << 20;

// Writes `out` in the place of what it was. Tokens are the same as of the whole text at once,
// where the text has a place to cut within any MiB (tokenizer/text_cuts.h); else the pieces of the
// text are encoded each by itself there. Lines that are no such object are counted and left out.
//
// Errors: kBadInput where a path cannot be read or is no text, or where nothing is left to train
// on; kFailed where `out` cannot be written; kInterrupted.
Result<DataCounts> write_tokens(const Tokenizer& tokenizer, const std::vector<std::string>& paths,
                                const std::string& out, const Progress& progress);

// What write_tokens(tokenizer, paths, …) puts into its file as fingerprint: of the tokenizer, and
// of the names, sizes and times of the files. Where a file has it, there is no need to write anew.
Result<uint64_t> data_fingerprint(const Tokenizer& tokenizer,
                                  const std::vector<std::string>& paths);

}  // namespace enxuto
