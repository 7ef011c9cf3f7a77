#include "cli/music_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "cli/terminal_text.h"
#include "infer/scores.h"
#include "media/k_gram.h"
#include "media/longest_match.h"

namespace enxuto {
namespace {

// Of the pieces that were not learned, by how many it is told what is usual of matches.
constexpr size_t kMatchedPieces = 64;
constexpr size_t kGiven = 2;  // <|endoftext|> and the mode, which nobody has to predict

// Sums over the notes of pieces.
struct Losses {
  double network = 0, mixture = 0;  // nats
  std::array<double, kLongestKGram + 1> k_grams{};
  double share = 1, of = 2;  // of the network in the mixture: what it was responsible for so far
};

class Comparison {
 public:
  Comparison(Session& session, const MusicCodec& codec, const ComparedMusic& music,
             const Progress& progress)
      : session_(session),
        codec_(codec),
        music_(music),
        progress_(progress),
        tune_(match_of(music.tune)),
        k_gram_(codec.vocabulary(), music.held_out.empty() ? 0 : kKGramBytes) {}

  Result<Json> run() {
    if (!music_.held_out.empty()) TRY(take_held_out());
    TRY(read_training());
    Json json = {{"longest_match", tune_.longest()},
                 {"training", {{"pieces", counts_.documents}, {"share_in_key", in_key_}}}};
    if (!music_.held_out.empty()) {
      ASSIGN_OR_RETURN(json["held_out"], score_held_out());
    }
    return json;
  }

 private:
  LongestMatch match_of(std::span<const Token> tokens) const {
    return {tokens, [this](Token token) { return is_note(token); }};
  }
  bool is_note(Token token) const {
    const Event event = codec_.tokens().event(token);
    return event == Event::kPitch || event == Event::kDrum;
  }
  // <|endoftext|> piece <|endoftext|>
  std::vector<Token> sequence_of(const Song& song, Key key) const {
    std::vector<Token> tokens = encode_music(codec_.tokens(), song, key, true);
    tokens.insert(tokens.begin(), codec_.end());
    tokens.push_back(codec_.end());
    return tokens;
  }
  Status take_held_out();
  Status read_training();
  Result<Json> score_held_out();
  Status score(std::span<const Token> sequence, Losses& losses);
  Result<std::vector<double>> network_losses(std::span<const Token> sequence);
  Status run_window(std::span<const Token> sequence, size_t begin, size_t end,
                    std::vector<double>& losses);

  Session& session_;
  const MusicCodec& codec_;
  const ComparedMusic& music_;
  const Progress& progress_;
  LongestMatch tune_;
  std::vector<LongestMatch> others_;  // of pieces held out, as long as the tune
  KGram k_gram_;
  DataCounts counts_;
  double in_key_ = 0;  // of the training music
  uint32_t order_ = 0;
};

Status Comparison::take_held_out() {
  return for_each_piece(music_.held_out, progress_,
                        [&](const Song& song, const std::string&) {
                          if (others_.size() == kMatchedPieces) return Status();
                          auto tokens = encode_music(codec_.tokens(), song, find_key(song), true);
                          tokens.resize(std::min(tokens.size(), music_.tune.size()));
                          others_.push_back(match_of(tokens));
                          return Status();
                        })
      .status();
}

Status Comparison::read_training() {
  double shares = 0;
  ASSIGN_OR_RETURN(counts_, for_each_piece(music_.training, progress_,
                                           [&](const Song& song, const std::string&) {
                                             const Key key = find_key(song);
                                             const auto sequence = sequence_of(song, key);
                                             shares += share_in_key(song, key);
                                             tune_.compare(sequence);
                                             for (auto& each : others_) each.compare(sequence);
                                             if (!others_.empty()) k_gram_.learn(sequence);
                                             return Status();
                                           }));
  in_key_ = shares / static_cast<double>(counts_.documents);
  return {};
}

// Of each token but the first, after those before it: all, or where they are more than the context
// at least half as many as that.
Result<std::vector<double>> Comparison::network_losses(std::span<const Token> sequence) {
  const size_t context = session_.context();
  std::vector<double> losses;
  while (losses.size() + 1 < sequence.size()) {
    const size_t begin = losses.empty() ? 0 : losses.size() - context / 2;
    TRY(run_window(sequence, begin, std::min(begin + context, sequence.size() - 1), losses));
  }
  return losses;
}

// Tokens [begin, end) as a sequence of their own; adds what they lose that is not there yet.
Status Comparison::run_window(std::span<const Token> sequence, size_t begin, size_t end,
                              std::vector<double>& losses) {
  const HyperParameters& hyper = session_.model().hyper;
  for (size_t at = begin; at < end;) {
    const size_t n = std::min<size_t>(session_.batch(), end - at);
    float* hidden = session_.hidden_buffer();
    TRY(session_.embed(sequence.subspan(at, n), static_cast<uint32_t>(at - begin), hidden));
    TRY(session_.run_layers(0, hyper.n_layers, static_cast<uint32_t>(at - begin),
                            static_cast<int64_t>(n), hidden));
    for (size_t i = 0; i < n; ++i, ++at, hidden += hyper.width) {
      if (at < losses.size()) continue;
      TRY(session_.logits(hidden, 1, session_.logits_buffer()));
      losses.push_back(
          score_row({session_.logits_buffer(), hyper.vocabulary}, {}, sequence[at + 1]).nll);
    }
  }
  return {};
}

Status Comparison::score(std::span<const Token> sequence, Losses& losses) {
  std::array<double, kLongestKGram + 1> p{};
  ASSIGN_OR_RETURN(const std::vector<double> network, network_losses(sequence));
  for (size_t i = kGiven; i < sequence.size(); ++i) {
    k_gram_.predict(sequence, i, p);
    const double share = losses.share / losses.of;
    const double by_network = share * std::exp(-network[i - 1]);
    const double mixed = by_network + (1 - share) * p[order_];
    losses.network += network[i - 1];
    losses.mixture -= std::log(mixed);
    losses.share += by_network / mixed, losses.of += 1;
  }
  return {};
}

// The k-gram model has the length of contexts that suits these very pieces best.
Result<Json> Comparison::score_held_out() {
  Losses losses;
  uint64_t notes = 0;
  double shares = 0;
  std::array<double, kLongestKGram + 1> p{};
  ASSIGN_OR_RETURN(
      const DataCounts counts,
      for_each_piece(music_.held_out, progress_, [&](const Song& song, const std::string&) {
        const Key key = find_key(song);
        const auto sequence = sequence_of(song, key);
        shares += share_in_key(song, key);
        notes += song.notes.size();
        for (size_t i = kGiven; i < sequence.size(); ++i) {
          k_gram_.predict(sequence, i, p);
          for (size_t k = 0; k < p.size(); ++k) losses.k_grams[k] -= std::log(p[k]);
        }
        return Status();
      }));
  const auto best = std::ranges::min_element(losses.k_grams);
  order_ = static_cast<uint32_t>(best - losses.k_grams.begin());
  TRY(for_each_piece(music_.held_out, progress_, [&](const Song& song, const std::string&) {
        return score(sequence_of(song, find_key(song)), losses);
      }).status());
  std::vector<size_t> matches;
  for (const LongestMatch& each : others_) matches.push_back(each.longest());
  std::ranges::sort(matches);
  const auto per_note = [&](double sum) { return sum / static_cast<double>(notes); };
  return Json{{"pieces", counts.documents},
              {"notes", notes},
              {"share_in_key", shares / static_cast<double>(counts.documents)},
              {"longest_match_median", matches[matches.size() / 2]},
              {"longest_match_most", matches.back()},
              {"nll_per_note", per_note(losses.network)},
              {"k_gram_nll_per_note", per_note(*best)},
              {"k_gram_context", order_},
              {"mixture_nll_per_note", per_note(losses.mixture)},
              {"mixture_share", losses.share / losses.of}};
}

}  // namespace

Result<Json> compare_music(Session& session, const MusicCodec& codec, const ComparedMusic& music,
                           const Progress& progress) {
  return Comparison(session, codec, music, progress).run();
}

void print_comparison(const Json& report) {
  const auto percent = [](const Json& share) {
    return fmt::format("{:.1f} %", 100 * share.get<double>());
  };
  Table table({"", ">notes in key", ">longest match"});
  table.add({"this tune", percent(report["share_in_key"]),
             fmt::format("{} notes", report["longest_match"].get<uint64_t>())});
  table.add({"learned from", percent(report["training"]["share_in_key"]), ""});
  const Paint paint(Stream::kOutput);
  if (!report.contains("held_out")) return table.print(paint);
  const Json& held_out = report["held_out"];
  table.add({"held out", percent(held_out["share_in_key"]),
             fmt::format("{} notes, {} at most", held_out["longest_match_median"].get<uint64_t>(),
                         held_out["longest_match_most"].get<uint64_t>())});
  table.print(paint);
  fmt::print("\n");
  Table losses({"held out", ">nats a note"});
  const auto add = [&](const std::string& name, const char* key) {
    losses.add({name, fmt::format("{:.3f}", held_out[key].get<double>())});
  };
  add("this model", "nll_per_note");
  add(fmt::format("k-grams, {} tokens of context", held_out["k_gram_context"].get<uint32_t>()),
      "k_gram_nll_per_note");
  add(fmt::format("mixture, {} the model", percent(held_out["mixture_share"])),
      "mixture_nll_per_note");
  losses.print(paint);
}

}  // namespace enxuto
