// create image: pictures of what a description says.
#include <fmt/format.h>

#include "base/bytes.h"
#include "cli/create.h"
#include "cli/json_output.h"
#include "cli/progress_bar.h"
#include "cli/terminal_text.h"
#include "media/image_codec.h"
#include "platform/clock.h"
#include "platform/memory_probe.h"

namespace enxuto {
namespace {

struct ImageOptions : CreateOptions {
  std::string description;
  uint32_t n = 1;
  float guidance = 3;
};

void tell_unknown(const ImageCodec& codec, const std::string& description) {
  for (const std::string& word : codec.unknown_words(description))
    print_note(
        fmt::format("no picture that the model learned from was called '{}'", printable(word)));
}

Result<std::vector<Picture>> draw(const ImageOptions& o, Creator& creator,
                                  const ImageCodec& codec) {
  ProgressBar bar;
  const std::vector<Token> told = codec.prompt(o.description), untold = codec.prompt("");
  RuledRequest request{told, creator.sampling, UINT64_MAX, {}};
  if (creator.untold) request.guidance = {creator.untold.get(), untold, o.guidance};
  std::vector<Picture> pictures;
  uint64_t done = 0;
  const auto tell = [&](Token) {
    bar.show("drawing",
             static_cast<double>(++done) / static_cast<double>(uint64_t{codec.n_tokens()} * o.n));
    return Status();
  };
  for (; pictures.size() < o.n; ++request.sampling.seed) {
    const auto rules = codec.rules();
    ASSIGN_OR_RETURN(const std::vector<Token> tokens,
                     generate(*creator.session, request, *rules, tell));
    pictures.push_back(codec.decode(tokens));
  }
  return pictures;
}

Status create_image(const ImageOptions& o) {
  ASSIGN_OR_RETURN(Creator creator, Creator::open(o, "image", o.guidance != 1));
  const auto& codec = static_cast<const ImageCodec&>(*creator.codec);
  tell_unknown(codec, o.description);
  const auto begin = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const std::vector<Picture> pictures, draw(o, creator, codec));
  const Picture sheet = contact_sheet(pictures);
  TRY(write_png(sheet, o.output, o.force));
  const double seconds = seconds_since(begin);
  if (o.json)
    print_json({{"output", o.output},
                {"pictures", o.n},
                {"width", sheet.width},
                {"height", sheet.height},
                {"unknown_words", codec.unknown_words(o.description)},
                {"seed", creator.sampling.seed},
                {"seconds", seconds},
                {"peak_rss_bytes", peak_rss_bytes()}});
  else
    fmt::print("{}: {} picture{} of {} x {} in {:.1f} s, seed {}, {} of memory at the peak\n",
               o.output, o.n, o.n == 1 ? "" : "s", codec.side(), codec.side(), seconds,
               creator.sampling.seed, format_bytes(peak_rss_bytes()));
  return {};
}

}  // namespace

void add_create_image(CLI::App& create, Action& action) {
  Subcommand<ImageOptions> c(
      create, "image", "Draw what a description says",
      "  enxuto create image emoji.gguf \"red heart\" -o heart.png\n"
      "  enxuto create image emoji.gguf \"smiling cat\" --n 9 --seed 3 -o cats.png   a sheet of 9\n"
      "  enxuto train --media image --data pictures/ --params 4M --epochs 20 -o own.gguf\n"
      "pictures/ has PNG files, and captions.jsonl: {\"file\": \"a.png\", \"text\": \"red "
      "heart\"}\n",
      create_image, action);
  ImageOptions& o = *c.options;
  o.sampling.temperature = 0.7f;  // a patch that does not suit the others spoils a picture
  c.command->add_option("DESCRIPTION", o.description, "What to draw")->required();
  c.number("--n", o.n, "Pictures, side by side on a sheet", 1, 400);
  c.number("--guidance", o.guidance,
           "How much more than usual the description counts (1: as learned, and twice as fast)", 0,
           100);
  add_create_options(c, "The PNG file to write");
}

}  // namespace enxuto
