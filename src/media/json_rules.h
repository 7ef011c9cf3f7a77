// Lets a model write JSON of a schema and nothing else, with any vocabulary, within any number of
// tokens that the shortest document fits in.
#pragma once

#include <map>
#include <memory>

#include "media/json_automaton.h"
#include "media/token_pieces.h"
#include "tokenizer/token_rules.h"

namespace enxuto {

class JsonRules : public TokenRules {
 public:
  // kBadInput as JsonGrammar::create, or where the vocabulary lacks bytes. The tokenizer must
  // outlive the rules.
  static Result<std::unique_ptr<JsonRules>> create(std::string_view schema,
                                                   const Tokenizer& tokenizer);
  // Memory for the tables, for the memory map.
  static uint64_t table_bytes(const Tokenizer& tokenizer);

  uint64_t fewest_tokens() const { return fewest_.size(); }  // of a document, at most
  // A new document. From where the shortest way to end it needs all tokens that are left, it is
  // the only one. most_tokens >= fewest_tokens().
  void begin(uint64_t most_tokens);
  const TokenSet& allowed() override;  // tokens that end a text where the document may end
  void accept(Token token) override;
  // All of a text is a document, or the beginning of one.
  bool accepts(std::string_view text);
  bool begins(std::string_view text);

 private:
  struct Mask {
    TokenSet tokens;
    uint64_t worst;  // bytes that complete the document after the worst of them
  };
  // Tokens in a string, whatever follows it.
  struct InString {
    TokenSet inside;                                     // the string goes on
    std::vector<std::pair<uint32_t, uint32_t>> leaving;  // pieces, and where in them it ends
  };

  JsonRules(JsonGrammar grammar, const Tokenizer& tokenizer);
  const Mask& mask_of(JsonAutomaton::State state);
  const InString& in_string(CharState state, uint64_t least, uint64_t most);
  // False where some could follow, and leave too few tokens.
  bool add_fitting(JsonAutomaton::State from, const TokenSet& tokens);
  bool add_outside(JsonAutomaton::State state);
  bool add_in_string(uint32_t frame);
  bool can_finish(JsonAutomaton::State state, uint64_t more);
  void forget();

  JsonGrammar grammar_;
  JsonAutomaton automaton_;
  TokenPieces pieces_;
  std::vector<Token> ends_;
  std::vector<uint32_t> places_;      // of a token in pieces_; UINT32_MAX: none
  std::vector<Token> fewest_, rest_;  // rest_: tokens that are known to complete the document
  std::unordered_map<JsonAutomaton::State, Mask> masks_;
  std::map<std::tuple<CharState, uint64_t, uint64_t>, InString> in_strings_;
  std::unordered_map<JsonAutomaton::State, uint64_t> tokens_left_;  // as spelled
  JsonAutomaton::State state_;
  uint64_t left_ = 0;
  bool ended_ = false;
  TokenSet allowed_;
};

}  // namespace enxuto
