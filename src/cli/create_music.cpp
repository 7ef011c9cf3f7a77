// create music: a tune as a MIDI file, its sound and its picture.
#include <cmath>

#include "base/bytes.h"
#include "cli/clock.h"
#include "cli/create.h"
#include "cli/music_report.h"
#include "cli/piano_roll.h"
#include "cli/progress_bar.h"
#include "media/midi_file.h"
#include "media/music_grid.h"
#include "media/music_rules.h"
#include "platform/child_program.h"
#include "platform/memory_probe.h"
#include "platform/temporary_file.h"

namespace enxuto {
namespace {

struct CreateMusicOptions : CreateOptions {
  std::string prompt, key, roll, wav;
  uint32_t bars = 0;  // 0: as many as the model likes
  double tempo = 0;   // quarters a minute; 0: as the model likes
  std::vector<std::string> compare, held_out;
};

// What a tune begins with.
struct Opening {
  std::vector<Token> tokens;
  std::optional<int> tonic;  // nothing: C of a major piece, A of a minor one
};

struct Tune {
  Song song;
  Key key;
  uint32_t bars = 0;
  uint64_t new_tokens = 0;
};

constexpr const char* kSoundPackages = "fluidsynth timgm6mb-soundfont";

Result<std::string> find_sound_font() {
  for (const char* path :
       {"/usr/share/sounds/sf3/default-GM.sf3", "/usr/share/sounds/sf2/default-GM.sf2",
        "/usr/share/sounds/sf2/FluidR3_GM.sf2", "/usr/share/sounds/sf2/TimGM6mb.sf2"})
    if (file_exists(path)) return std::string(path);
  return Status::failed("no sound font for --wav",
                        fmt::format("on Debian: apt-get install {}", kSoundPackages));
}

Status check_options(const CreateMusicOptions& o) {
  if (!o.key.empty() && !parse_key(o.key))
    return Status::usage(fmt::format("'{}' is no key", o.key),
                         "say C, F# or Bb for major, a, f# or F#m for minor");
  if (!o.held_out.empty() && o.compare.empty())
    return Status::usage("--held-out compares with what was learned", "say --compare DIR as well");
  for (const std::string& path : {o.roll, o.wav})
    if (!path.empty()) TRY(check_is_free(path, o.force));
  if (o.wav.empty()) return {};
  TRY(find_sound_font().status());
  return run_child_program({"fluidsynth", "--version"}, kSoundPackages);
}

Result<Opening> opening_of(const CreateMusicOptions& o, const MusicCodec& codec) {
  Opening opening{{codec.end()}, {}};
  const auto key = parse_key(o.key);
  if (key) opening.tonic = key->tonic;
  if (o.prompt.empty()) return opening;
  ASSIGN_OR_RETURN(const Song read, read_midi(o.prompt));
  auto song = on_grid(read);
  if (!song.ok()) return song.status().in(o.prompt);
  if (song->notes.empty())
    return Status::bad_input(fmt::format("{} has no notes", o.prompt), "give another opening");
  const Key found = find_key(*song);
  std::vector<Token> piece = encode_music(codec.tokens(), *song, found, /*whole=*/false);
  if (key) piece[0] = codec.tokens().token(Event::kMode, key->minor);
  opening.tokens.insert(opening.tokens.end(), piece.begin(), piece.end());
  if (!key) opening.tonic = found.tonic;
  return opening;
}

MusicWishes wishes_of(const CreateMusicOptions& o) {
  MusicWishes wishes;
  if (const auto key = parse_key(o.key)) wishes.minor = key->minor;
  if (o.bars > 0) wishes.bars = o.bars;
  if (o.tempo > 0) wishes.tempo = nearest_tempo(o.tempo);
  return wishes;
}

// The opening and what follows; tokens: all of it.
Result<Tune> write_tune(const CreateMusicOptions& o, Creator& creator, const MusicCodec& codec,
                        std::vector<Token>& tokens, ProgressBar& progress) {
  ASSIGN_OR_RETURN(const Opening opening, opening_of(o, codec));
  MusicRules rules(codec.tokens(), codec.vocabulary(), codec.end(), wishes_of(o));
  for (const Token token : opening.tokens) rules.accept(token);
  rules.count_from_here();
  RuledRequest request;
  request.prompt = opening.tokens, request.sampling = creator.sampling;
  ASSIGN_OR_RETURN(const std::vector<Token> written,
                   generate(*creator.session, request, rules, [&](Token) {
                     if (o.bars > 0)
                       progress.show("writing", static_cast<double>(rules.bars()) / (o.bars + 1));
                     return Status();
                   }));
  tokens = opening.tokens;
  tokens.insert(tokens.end(), written.begin(), written.end());
  Tune tune;
  const bool minor = codec.tokens().index(tokens[1]) == 1;
  tune.key = {opening.tonic.value_or(minor ? 9 : 0), minor};
  ASSIGN_OR_RETURN(tune.song, decode_music(codec.tokens(), tokens, tune.key.tonic));
  tune.new_tokens = written.size();
  for (const Token token : tokens) {
    const Event event = codec.tokens().event(token);
    tune.bars += event == Event::kBar || event == Event::kFinalBar;
  }
  if (o.tempo > 0) tune.song.tempi = {{0, static_cast<uint32_t>(std::lround(60e6 / o.tempo))}};
  return tune;
}

Status write_sound(const CreateMusicOptions& o) {
  ASSIGN_OR_RETURN(const std::string font, find_sound_font());
  TemporaryFile sound(o.wav, "sound");
  TRY(run_child_program({"fluidsynth", "-n", "-i", "-q", "-T", "wav", "-r", "44100", "-F",
                         sound.path(), font, o.output},
                        kSoundPackages));
  if (!file_exists(sound.path()))
    return Status::failed("fluidsynth wrote no sound", "run it by hand to see why");
  return sound.become(o.wav);
}

Status write_outputs(const CreateMusicOptions& o, const Tune& tune) {
  TRY(write_text_file(o.output, midi_bytes(in_fine_ticks(tune.song)), o.force));
  if (!o.roll.empty()) TRY(write_text_file(o.roll, piano_roll(tune.song), o.force));
  return o.wav.empty() ? Status() : write_sound(o);
}

Json tune_json(const CreateMusicOptions& o, const Creator& creator, const Tune& tune,
               double seconds) {
  return {{"output", o.output},
          {"seed", creator.sampling.seed},
          {"key", key_name(tune.key)},
          {"bars", tune.bars},
          {"notes", tune.song.notes.size()},
          {"share_in_key", share_in_key(tune.song, tune.key)},
          {"new_tokens", tune.new_tokens},
          {"seconds", seconds}};
}

Status create_music(const CreateMusicOptions& given) {
  TRY(check_options(given));
  CreateMusicOptions o = given;
  if (!o.held_out.empty() && o.memory_bytes > 0) {
    if (o.memory_bytes <= kKGramBytes)
      return Status::does_not_fit(
          fmt::format("the k-gram model takes {}", format_bytes(kKGramBytes)),
          "say more --memory, or leave out --held-out");
    o.memory_bytes -= kKGramBytes;
  }
  ASSIGN_OR_RETURN(Creator creator, Creator::open(o, "music", /*guided=*/false));
  const auto& codec = static_cast<const MusicCodec&>(*creator.codec);
  ProgressBar progress;
  const auto start = std::chrono::steady_clock::now();
  std::vector<Token> tokens;
  ASSIGN_OR_RETURN(const Tune tune, write_tune(o, creator, codec, tokens, progress));
  TRY(write_outputs(o, tune));
  Json json = tune_json(o, creator, tune, seconds_since(start));
  if (!o.compare.empty()) {
    ASSIGN_OR_RETURN(const Json compared,
                     compare_music(*creator.session, codec, {o.compare, o.held_out, tokens},
                                   progress.callback()));
    json.update(compared);
  }
  progress.erase();
  json["peak_rss_bytes"] = peak_rss_bytes();
  if (o.json) {
    print_json(json);
    return {};
  }
  fmt::print("{}: {} bars in {}, {} notes, {:.1f} s\n", printable(o.output), tune.bars,
             key_name(tune.key), format_count(tune.song.notes.size()),
             json["seconds"].get<double>());
  if (!o.compare.empty()) print_comparison(json);
  return {};
}

}  // namespace

void add_create_music(CLI::App& create, Action& action) {
  Subcommand<CreateMusicOptions> c(
      create, "music", "A tune as a MIDI file",
      "  enxuto create music bach.gguf -o tune.mid --bars 16 --key F#m --roll tune.svg\n"
      "  enxuto create music bach.gguf -o tune.mid --prompt opening.mid --wav tune.wav\n"
      "  enxuto create music bach.gguf -o tune.mid --compare chorales/train --held-out "
      "chorales/held-out",
      create_music, action);
  CreateMusicOptions& o = *c.options;
  add_create_options(c, "The MIDI file to write");
  c.command->add_option("--prompt", o.prompt, "Go on from this MIDI file")->type_name("FILE");
  c.number("--bars", o.bars,
           "Bars to write, without those of --prompt (default: as the model likes, 256 at most)", 1,
           kMostBars);
  c.command
      ->add_option("--key", o.key,
                   "C, F#, Bb: major; a, f#, F#m: minor (default: that of --prompt; else C major "
                   "or A minor)")
      ->type_name("KEY");
  c.number("--tempo", o.tempo, "Quarter notes a minute (default: as the model likes)", 10, 1000);
  c.command->add_option("--roll", o.roll, "Also draw it as a piano roll (SVG)")->type_name("FILE");
  c.command->add_option("--wav", o.wav, "Also play it into a WAV file, by fluidsynth")
      ->type_name("FILE");
  c.command
      ->add_option("--compare", o.compare,
                   "Music that the model learned from: longest match, notes in key")
      ->type_name("PATH ...");
  c.command
      ->add_option("--held-out", o.held_out,
                   "Music that it did not learn from: how well it is predicted, beside k-grams")
      ->type_name("PATH ...");
}

}  // namespace enxuto
