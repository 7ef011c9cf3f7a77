#include "cli/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "base/bytes.h"
#include "cli/budget.h"
#include "cli/cache_types.h"
#include "cli/commands.h"
#include "cli/create.h"
#include "cli/subcommand.h"
#include "media/codec.h"
#include "models/architectures.h"
#include "platform/threads.h"

namespace enxuto {

int CommonOptions::threads() const { return n_threads ? n_threads : default_thread_count(); }

InferenceRequest inference_request(const CommonOptions& options, uint32_t context, uint32_t batch) {
  InferenceRequest request;
  request.context = context;
  if (batch) request.batch = batch;
  request.n_threads = options.threads();
  request.holds_layers = false;
  request.memory_bytes = memory_budget(options).bytes;
  request.kv = options.kv;
  return request;
}

Result<std::shared_ptr<const Adapter>> named_adapter(const CommonOptions& options,
                                                     const Model& model) {
  if (options.lora_file.empty()) return std::shared_ptr<const Adapter>();
  return open_adapter(options.lora_file, model);
}

TrainingRequest training_request(const CommonOptions& options, const LearningOptions& learning) {
  TrainingRequest request;
  request.optimizer = learning.optimizer;
  request.weights = learning.weights;
  request.rounds_products = learning.rounds_products;
  request.keeps_activations = learning.keeps_activations;
  request.lora_rank = learning.lora ? learning.lora_rank : 0;
  request.averages = learning.ema > 0;
  request.n_threads = options.threads();
  return request;
}

namespace {

constexpr const char* kExamples = R"(Examples:
  enxuto inspect model.gguf
  enxuto plan model.gguf --memory 2GiB --context 8192
  enxuto compress model.gguf -o small.gguf --size 90MB
  enxuto prune model.gguf -o lean.gguf --remove 0.2
  enxuto train --data texts/ --params 5M --steps 2000 -o own.gguf
  enxuto merge model.gguf --lora adapter.gguf -o merged.gguf
  enxuto export own.gguf -o own
  enxuto run small.gguf                        chat on a terminal
  enxuto run small.gguf -p "Once upon a time" -n 64
  enxuto eval small.gguf text.txt --reference model.gguf

Sizes read 512MiB, 1.5GB, 700M (= MiB) or a number of bytes.
Exit codes: 0 done, 1 failed, 2 wrong use, 3 bad input file, 4 does not fit, 130 interrupted.)";

constexpr double kMostHours = 1e5;
constexpr const char* kLora = "A LoRA adapter of this model (GGUF), added while it runs";
constexpr const char* kContextDefault =
    "Tokens to hold (default: what the model was trained on, 4096 at most)";

// A line of a file of --config, where the command line does not say it already.
void take_line(CLI::App& command, const CLI::ConfigItem& line, const std::string& file) {
  CLI::Option* option = nullptr;
  for (CLI::Option* each : command.get_options())
    if (line.parents.empty() && each->check_lname(line.name)) option = each;
  if (!option || !option->get_configurable())
    throw CLI::ValidationError("--config",
                               fmt::format("{}: '{}' is no option of {} that a file may set", file,
                                           line.fullname(), command.get_name()));
  if (!option->empty()) return;
  try {
    if (option->get_expected_max() == 0)
      option->add_result(option->get_flag_value(line.name, CLI::ConfigTOML().to_flag(line)));
    else
      option->add_result(line.inputs);
    option->run_callback();
  } catch (const CLI::ParseError& error) {
    throw CLI::ValidationError("--config", fmt::format("{}: {}", file, error.what()));
  }
}

// CLI11 reads and writes such files, but of the program as a whole only.
void take_config(CLI::App& command, const std::string& file) {
  std::vector<CLI::ConfigItem> lines;
  try {
    lines = CLI::ConfigTOML().from_file(file);
  } catch (const CLI::ParseError&) {
    throw CLI::ValidationError("--config", fmt::format("{} cannot be read", file));
  }
  for (const CLI::ConfigItem& line : lines)
    if (line.name != "++" && line.name != "--")  // where a section begins and ends
      take_line(command, line, file);
}

std::string config_text(CLI::App& command, const TrainOptions::Changes& changes) {
  for (const auto& [name, value] : changes) {
    CLI::Option* option = command.get_option(name);
    option->clear();
    if (!value.empty()) option->add_result(value);
  }
  return command.config_to_str();
}

void add_inspect(CLI::App& app, Action& action) {
  Subcommand<InspectOptions> c(app, "inspect", "What a model is made of, and what each part weighs",
                               "  enxuto inspect model.gguf\n"
                               "  enxuto inspect folder-with-config.json --json\n",
                               inspect_command, action);
  c.command->add_flag("--tensors", c.options->tensors, "List every tensor");
  c.json();
}

void add_plan(CLI::App& app, Action& action) {
  Subcommand<PlanOptions> c(app, "plan",
                            "The memory that a model takes, part by part, and what fits",
                            "  enxuto plan model.gguf --memory 2GiB\n"
                            "  enxuto plan config.json --memory 700M --context 8192 --json\n"
                            "  enxuto plan model.gguf --explain\n"
                            "  enxuto plan model.gguf --memory 700M --context 8192 --measure\n"
                            "  enxuto plan model.gguf --for train --sequences 4 --context 1024\n"
                            "  enxuto plan --for train --hours 8 --memory 1GiB --data texts/\n",
                            plan_command, action, /*needs_model=*/false);
  c.context(kContextDefault);
  c.cache_types(true);
  c.number("--sequences,--batch-size", c.options->sequences,
           "Texts at the same time, each with a context", 1, 65536);
  c.size("--bandwidth", c.options->bandwidth,
         "Bytes that decoding reads a second, as 14GB: adds expected speeds");
  PlanOptions& o = *c.options;
  c.command->add_option("--for", o.goal, "What the plan is for (default: run)")
      ->check(CLI::IsMember({"run", "serve", "eval", "bench", "compress", "prune", "train"}));
  c.learning(o.learning, "Of --for train: ");
  c.number("--hours", o.hours,
           "Of --for train, without MODEL: proposes a new one for so long on this machine, whose "
           "speed is measured",
           1e-4, kMostHours);
  c.count("--params", o.parameters, "With --hours: its size (default: what learns best)");
  c.command->add_option("--data", o.data, "With --hours: the texts to learn from")
      ->type_name("PATH");
  c.command->add_option("--teacher", o.teacher, "Of --for train: the model to learn from")
      ->type_name("MODEL");
  c.number("--ranks", o.ranks, "Of --for train: processes by mpirun; the plan is each one's", 1,
           65536);
  c.effort(o.effort, "Of --for compress and prune: fast, normal (default) or best");
  c.command->add_flag("--explain", o.explain,
                      "Teach where the memory of this model goes, instead of the tables");
  c.command->add_flag(
      "--measure", o.measure,
      "Measure on the model itself what formats of the KV cache cost, by layer too");
  c.command->add_option("--html", o.html_file, "Write the plan here too, as a page of its own")
      ->type_name("FILE");
  c.json();
}

void add_compress(CLI::App& app, Action& action) {
  Subcommand<CompressOptions> c(
      app, "compress", "Write the model again, in at most the bytes you name",
      "  enxuto compress model.gguf -o small.gguf --size 90MB\n"
      "  enxuto compress model.gguf -o small.gguf --bpw 4.5 --calibration notes.txt\n"
      "  enxuto compress model.gguf -o small.gguf --size 90MB --keep ffn_down=Q6_K\n"
      "  enxuto compress model.gguf -o small.gguf --size 90MB --imatrix imatrix.gguf\n"
      "  enxuto compress folder -o small.gguf --memory 1GiB --effort fast\n"
      "  enxuto compress model.gguf -o small.gguf --size 90MB --state work   goes on in work\n"
      "  enxuto compress model.gguf -o small.gguf --size 90MB --for-speed\n"
      "  enxuto compress model.gguf -o small.gguf --size 60MB --prune auto\n"
      "  enxuto compress model.gguf --curve             what each size would lose; writes no "
      "file\n",
      compress_command, action);
  CompressOptions& o = *c.options;
  c.command->add_option("-o,--output", o.output, "The GGUF file to write");
  c.size("--size", o.size_bytes, "Most bytes of the file");
  c.number("--bpw", o.bits_per_weight, "Bits per weight of the whole file", 0.5, 32)
      ->excludes("--size");
  c.command
      ->add_option("--calibration", o.calibration_file,
                   "Text like what the model will meet (default: a built-in mix)")
      ->type_name("FILE");
  c.command
      ->add_option("--imatrix", o.imatrix_file,
                   "llama.cpp's importance matrix (.gguf or .dat): how large columns are is taken "
                   "from it, the rest from the text")
      ->type_name("FILE");
  c.command
      ->add_option("--save-imatrix", o.save_imatrix_file,
                   "Write the text's importance matrix here too, for llama-quantize or --imatrix")
      ->type_name("FILE")
      ->excludes("--imatrix");
  c.effort(o.effort,
           "fast, normal (default) or best: of 100 million weights about 1, 4 or 10 minutes on two "
           "cores, for less loss");
  c.command->add_option("--types", o.types, "Number formats to choose from, as Q4_K,Q5_K,Q6_K")
      ->delimiter(',')
      ->type_name("LIST");
  c.command
      ->add_option(
          "--keep", o.keep,
          "The format of weights whose names match, as output=Q8_0 (repeat it for more; the "
          "last match counts)")
      ->type_name("REGEX=TYPE")
      ->take_all();
  c.command
      ->add_option("--state", o.state_folder,
                   "A folder that keeps what is found out: the same command goes on there after an "
                   "interruption, and another --size, --types or --keep takes the measurements "
                   "over. plan --for compress says how many bytes it takes; it stays, and may be "
                   "removed at any time")
      ->type_name("DIR");
  c.command
      ->add_option(
          "--prune", o.prune,
          "auto: take out parts of the model too, where what is left is then better in the "
          "same bytes on text held out; none (default): keep all")
      ->check(CLI::IsMember({"none", "auto"}));
  c.command->add_flag("--for-speed", o.for_speed,
                      "Time every format on this machine, and take those that decode faster for "
                      "at most 10 % more predicted loss");
  c.command->add_flag("--curve", o.curve,
                      "Print quality against bytes, from the smallest file to the largest useful "
                      "one; without -o nothing is written");
  c.command->add_flag("--force", o.force, "Replace what is to be written where it exists");
  c.report();
  c.json();
}

void add_prune(CLI::App& app, Action& action) {
  Subcommand<PruneOptions> c(
      app, "prune", "Take out what a model misses least, so that it is really smaller and faster",
      "  enxuto prune model.gguf -o lean.gguf --remove 0.2\n"
      "  enxuto prune model.gguf -o lean.gguf --speedup 1.3 --calibration notes.txt\n"
      "  enxuto prune model.gguf -o lean.gguf --size 220MB --what blocks\n"
      "  enxuto prune model.gguf -o lean.gguf --remove 0.2 --recover distill --calibration "
      "notes.txt\n"
      "  enxuto prune mixture.gguf -o fewer.gguf --what experts --remove 0.25\n"
      "  enxuto prune model.gguf -o english.gguf --what vocabulary --calibration english.txt\n"
      "  enxuto prune model.gguf -o sparse.gguf --what weights --pattern 16:32 --sparse\n"
      "Prune before compress: enxuto compress lean.gguf -o small.gguf --size 80MB\n",
      prune_command, action);
  PruneOptions& o = *c.options;
  c.command->add_option("-o,--output", o.output, "The GGUF file to write")->required();
  c.number(
      "--remove", o.remove,
      "The part of the layers' weights (with --what experts: of the experts; vocabulary: of the "
      "tokens) to take out; with --what weights the part that becomes zero",
      0.001, 0.999);
  c.size("--size", o.size_bytes, "Most bytes of the file");
  c.number("--speedup", o.speedup, "How many times faster a token is to be, by the bytes it reads",
           1.001, 1000);
  c.command
      ->add_option(
          "--what", o.what,
          "blocks, heads (with the keys and values they share), channels of the FFN, "
          "experts, vocabulary, or auto (default): heads and channels, in each layer as it suits; "
          "weights: zeros, the file stays as large without --sparse")
      ->check(CLI::IsMember(
          {"auto", "blocks", "heads", "channels", "experts", "vocabulary", "weights"}));
  c.command
      ->add_option("--method", o.method,
                   "With --what weights: sparsegpt (default), wanda, magnitude or random")
      ->check(CLI::IsMember({"sparsegpt", "wanda", "magnitude", "random"}));
  c.command
      ->add_option("--pattern", o.pattern,
                   "With --what weights: of each M neighbouring inputs of a row N stay, as 2:4")
      ->type_name("N:M");
  c.command->add_flag("--owl", o.owl,
                      "With --what weights and --remove: of layers whose weights and inputs have "
                      "more outliers fewer weights go, of the others more (OWL)");
  c.command->add_flag(
      "--sparse", o.sparse,
      "With --what weights and a --pattern of at most half: write no zeros (SF16, 9 bits a weight "
      "where F16 has 16); only enxuto reads such a file, llama.cpp does not");
  c.command->add_flag("--uniform", o.uniform,
                      "Leave all layers as wide as each other, and the architecture as it is");
  c.command
      ->add_option("--recover", o.recover,
                   "local (default): what stays makes up for what goes, by least squares; distill: "
                   "then it learns from the whole model too, by training on the text of "
                   "--calibration; or none")
      ->check(CLI::IsMember({"none", "local", "distill"}));
  c.command
      ->add_option("--calibration", o.calibration_file,
                   "Text like what the model will meet (default: a built-in mix)")
      ->type_name("FILE");
  c.effort(o.effort, "fast, normal (default) or best: how much of the text is used");
  c.command->add_flag("--force", o.force, "Replace what is to be written where it exists");
  c.json();
}

void add_train(CLI::App& app, Action& action) {
  Subcommand<TrainOptions> c(
      app, "train", "Train a new model, or one further, in batches that never hold the data",
      "  enxuto train --data texts/ --params 5M --steps 2000 -o own.gguf      a new model\n"
      "  enxuto train --data texts/ --params 5M --steps 2000 -o own.gguf --resume\n"
      "  enxuto train --data texts/ --hours 8 --memory 4GiB -o own.gguf       as large as learns "
      "best\n"
      "  enxuto train model.gguf --data notes.txt --epochs 2 -o tuned.gguf    all weights of one\n"
      "  enxuto train model.gguf --data chats.jsonl --lora -o adapter.gguf  beside a model of "
      "any\n"
      "                                 format; then: enxuto run model.gguf --lora adapter.gguf\n"
      "  enxuto train model.gguf --data chats.jsonl --memory 2GiB --optimizer adamw8 -o t.gguf\n"
      "  enxuto train --config own.gguf.training/config.toml -o again.gguf    as that one was "
      "made\n"
      "  enxuto train pruned.gguf --teacher whole.gguf --data texts/ -o healed.gguf\n"
      "  mpirun -n 2 --bind-to none enxuto train model.gguf --data chats.jsonl -t 4 -o t.gguf\n"
      "                                 2 processes share each batch and the optimizer's memory\n"
      "Data: text files, folders of them, and JSON lines with \"text\", \"messages\" or \"prompt\" "
      "and\n"
      "\"completion\". OUTPUT.training/ keeps tokens, checkpoints, metrics.jsonl\nand "
      "config.toml.\n",
      train_command, action, /*needs_model=*/false);
  TrainOptions& o = *c.options;
  c.command->add_option("--data", o.data, "Texts to learn from; may be given again")
      ->required()
      ->type_name("PATH");
  c.command->add_option("-o,--output", o.output, "The GGUF file to write")->required();
  c.count("--params", o.parameters, "Size of a new model, as 5M: its shape is chosen");
  c.number("--layers", o.n_layers, "Of a new model, with --width and --heads: its shape", 1, 4096);
  c.number("--width", o.width, "Numbers of a hidden state", 32, 65536);
  c.number("--heads", o.n_heads, "Heads of attention", 1, 1024);
  c.number("--kv-heads", o.n_kv_heads, "Heads of keys and values (default: as --heads)", 1, 1024);
  c.number("--ffn", o.ffn_width, "Width of the FFN (default: 8/3 of --width, 4 times it of a gpt2)",
           1, 1 << 20);
  c.command->add_option("--architecture", o.architecture,
                        "Of a new model: llama, gpt2, qwen2 … (default: llama)");
  c.number("--experts", o.n_experts,
           "Of a new model: experts in each layer (default: none, of a qwen2moe or qwen3moe 8)", 2,
           kMostExperts);
  c.number("--experts-used", o.n_experts_used, "Of them for each token (default: 2)", 1,
           kMostExperts);
  c.command->add_option(
      "--tokenizer", o.tokenizer,
      "Of a new model: bytes, or bpe:N made from the data (default: by its size)");
  c.command
      ->add_option("--media", o.media,
                   "Of a new model: what it makes, " + known_media() + " (default: text)")
      ->type_name("KIND");
  c.number("-c,--context", o.context,
           "Tokens of a sequence (default: 256, of a model that exists 512)", 2, 1 << 20);
  c.number("--batch-size", o.batch_size,
           "Sequences of a step (default: 32, or what the memory has room for)", 1, 1 << 20);
  c.number("--steps", o.steps, "Steps to make", 1, 1e12);
  c.number("--epochs", o.epochs, "Or how often to go through the data (default: 3)", 1e-6, 1e9);
  c.number("--hours", o.hours,
           "Or how long, as 0.5: steps are timed first. Of a new model without --params the size, "
           "the context and the batch are chosen too",
           1e-4, kMostHours);
  c.learning(o.learning, "");
  c.command
      ->add_option("--teacher", o.teacher,
                   "Learn too what this model of the same tokens holds likely after each token")
      ->type_name("MODEL");
  c.number("--teacher-weight", o.teacher_weight,
           "What that counts (default: 0.9); what is left to 1 counts what really comes next", 0,
           1);
  c.number("--lr", o.rate, "The learning rate's most (default: by the model's size)", 0, 1e3);
  c.choice<Schedule>("--schedule", o.schedule,
                     {{"cosine", Schedule::kCosine},
                      {"linear", Schedule::kLinear},
                      {"constant", Schedule::kConstant}},
                     "How it falls to a tenth: cosine (default) or linear; or constant");
  c.command->add_option("--warmup", o.warmup, "Steps until it is reached (default: a twentieth)")
      ->type_name("N");
  c.number("--weight-decay", o.weight_decay, "Of matrices, for each step and rate (default: 0.1)",
           0, 1e3);
  c.number("--clip", o.clip,
           "Most length of the gradient (default: 1; 0: any). Each layer may have its share of it",
           0, 1e9);
  c.command->add_option("--seed", o.seed, "Same seed, same data: the same model, bit for bit")
      ->type_name("N");
  c.command->add_flag("--shuffle,!--no-shuffle", o.shuffle,
                      "Sequences in another order each epoch (default), or as they lie");
  c.number("--validation", o.validation, "Share of the data kept to measure on (default: 0.05)", 0,
           0.5);
  c.command
      ->add_option("--expert-balance", o.expert_balance,
                   "How much a mixture is told to use all experts alike (default: 0.01, of a model "
                   "that exists 0)")
      ->check(CLI::Range(0.0, 10.0), "")
      ->type_name("N");
  c.number("--patience", o.patience,
           "Keep the best weights, and end when so many validations in a row were no better", 1,
           1e6);
  c.number("--save-every", o.save_every, "Steps between checkpoints (default: ten minutes)", 1,
           1e12);
  c.number("--keep", o.keep, "Checkpoints to keep (default: 2)", 1, 1000);
  c.command->add_option("--sample", o.sample, "Continue this text now and then, to see it learn")
      ->type_name("TEXT");
  c.command
      ->add_option(
          "--metrics", o.metrics_file,
          "Write loss and speed of each step here (default: OUTPUT.training/metrics.jsonl)")
      ->type_name("FILE");
  c.command->add_flag("--resume", o.resume, "Go on from the last checkpoint, where there is one")
      ->configurable(false);
  c.command->add_flag("--force", o.force, "Replace what is to be written where it exists")
      ->configurable(false);
  c.command
      ->add_option_function<std::string>(
          "--config", [command = c.command](const std::string& f) { take_config(*command, f); },
          "Take options from this file, a line each, as lr = 0.001; those given here win. "
          "OUTPUT.training/config.toml has those of a run")
      ->configurable(false)
      ->type_name("FILE");
  o.config_text = [command = c.command](const TrainOptions::Changes& changes) {
    return config_text(*command, changes);
  };
  c.report();
  c.json();
}

void add_merge(CLI::App& app, Action& action) {
  Subcommand<MergeOptions> c(
      app, "merge", "Write a model with a LoRA adapter added into its weights",
      "  enxuto merge model.gguf --lora adapter.gguf -o merged.gguf\n"
      "Each tensor keeps its format. A quantized model is rounded again, which loses changes of "
      "less\n"
      "than half a step, of a short training most of them: merge tells. Keep the adapter apart\n"
      "(--lora), or merge into the F16 or BF16 model and compress that.\n",
      merge_command, action);
  MergeOptions& o = *c.options;
  c.lora("A GGUF adapter of this model, as `enxuto train` or llama.cpp's converter writes it")
      ->required();
  c.command->add_option("-o,--output", o.output, "The GGUF file to write")->required();
  c.command->add_flag("--force", o.force, "Replace what is to be written where it exists");
  c.json();
}

void add_export(CLI::App& app, Action& action) {
  Subcommand<ExportOptions> c(
      app, "export", "Write a model as a Hugging Face folder, which transformers loads",
      "  enxuto export own.gguf -o own\n"
      "  enxuto export model.gguf -o folder --type f32\n"
      "In Python: AutoModelForCausalLM.from_pretrained(\"own\"), AutoTokenizer likewise.\n",
      export_command, action);
  ExportOptions& o = *c.options;
  c.command->add_option("-o,--output", o.output, "The folder to write; there must be none yet")
      ->required();
  c.choice<std::optional<Type>>(
      "--type", o.type, {{"bf16", Type::BF16}, {"f16", Type::F16}, {"f32", Type::F32}},
      "Of matrices: bf16, f16 or f32 (default: as the model has them, bf16 if it is quantized)");
  c.json();
}

void add_run(CLI::App& app, Action& action) {
  Subcommand<RunOptions> c(
      app, "run", "Continue a text, or chat on a terminal",
      "  enxuto run model.gguf                                  chat\n"
      "  enxuto run model.gguf -p \"Once upon a time\" -n 64      continue a text\n"
      "  enxuto run model.gguf -p \"Name three rivers.\" --chat   one question, one answer\n"
      "  enxuto run model.gguf < prompt.txt > continuation.txt\n"
      "  enxuto run model.gguf --lora adapter.gguf -p \"Once upon a time\"\n"
      "The prompt itself is not repeated in the output.\n",
      run_command, action);
  RunOptions& o = *c.options;
  c.lora(kLora);
  c.command
      ->add_option("-p,--prompt", o.prompt,
                   "The text to continue (default: standard input, or chat)")
      ->type_name("TEXT");
  c.command->add_flag("--chat", o.chat,
                      "Put the prompt to the model as a question, by its chat template");
  c.number("-n,--n-predict", o.max_tokens, "Most tokens to write (-1: until the end)", -1,
           kMostTokens);
  c.context(kContextDefault);
  c.cache_types(true);
  c.sampling();
  c.repeat_penalty();
  c.command->add_option("--seed", o.seed, "Same seed, same threads: same text");
  c.stops();
  c.command
      ->add_option("--draft", o.draft,
                   "Most tokens to guess ahead from the text so far; changes the speed, never the "
                   "text (default: 15 where the model does not fit the memory, else 0)")
      ->check(CLI::Range(0u, kMostDrafted), "")
      ->type_name("N");
  c.json();
  c.command->add_flag("-v,--verbose", o.verbose, "Say the speed and the memory at the end");
  c.report();
}

void add_eval(CLI::App& app, Action& action) {
  Subcommand<EvalOptions> c(app, "eval", "How well a model predicts a text, or matches a reference",
                            "  enxuto eval small.gguf text.txt\n"
                            "  enxuto eval small.gguf text.txt --reference model.gguf --json\n"
                            "  enxuto eval model.gguf text.txt --lora adapter.gguf\n",
                            eval_command, action);
  c.lora(kLora);
  c.command
      ->add_option("TEXT", c.options->text_file,
                   "A text file, two chunks or more; of a medium's model its files")
      ->required();
  c.command
      ->add_option("--reference", c.options->reference,
                   "The model to compare with: KL divergence and agreement")
      ->type_name("MODEL");
  c.number(
      "-c,--context", c.options->chunk_tokens,
      "Tokens of a chunk, of which the second half is scored (default: 512, of a medium its own)",
      4, kMostTokens);
  c.number("--chunks", c.options->chunks, "Most chunks to use (default: all)", 1, kMostTokens);
  c.command->add_flag("--as-run", c.options->as_run,
                      "Round as run does with a prompt, not as llama.cpp");
  c.cache_types(false);
  c.report();
  c.json();
}

void add_bench(CLI::App& app, Action& action) {
  Subcommand<BenchOptions> c(app, "bench", "Speed and memory of a model on this machine",
                             "  enxuto bench model.gguf\n"
                             "  enxuto bench model.gguf -t 2 --prefill 512 --decode 128 --json\n"
                             "  enxuto bench model.gguf --lora adapter.gguf\n",
                             bench_command, action);
  c.lora(kLora);
  BenchOptions& o = *c.options;
  c.number("--prefill", o.prefill_tokens, "Tokens of the prompt", 1, kMostTokens);
  c.number("--decode", o.decode_tokens, "Tokens to write", 1, kMostTokens);
  c.number("--repeat", o.repeats, "Runs of each; the median is reported", 1, 1000);
  c.context("Tokens of the KV cache (default: as many as needed)");
  c.cache_types(true);
  c.report();
  c.json();
}

// Arguments, last first as CLI11 takes them, with llama.cpp's -ctk and -ctv spelled out: short
// options have one letter, and -c is another.
std::vector<std::string> spelled_out(int argc, const char* const* argv) {
  std::vector<std::string> arguments;
  for (int i = argc - 1; i > 0; --i) {
    const std::string_view argument = argv[i];
    arguments.emplace_back(argument == "-ctk"   ? "--cache-type-k"
                           : argument == "-ctv" ? "--cache-type-v"
                                                : argument);
  }
  return arguments;
}

}  // namespace

Result<Action> parse_arguments(int argc, const char* const* argv) {
  Action action = [] { return Status(); };
  const auto kept =
      std::make_shared<CLI::App>("Fits a language model into the memory you have.", "enxuto");
  CLI::App& app = *kept;
  app.footer(kExamples);
  app.set_version_flag("--version", "enxuto " ENXUTO_VERSION);
  app.require_subcommand(1);
  app.fallthrough(false);
  add_inspect(app, action);
  add_plan(app, action);
  add_compress(app, action);
  add_prune(app, action);
  add_train(app, action);
  add_merge(app, action);
  add_export(app, action);
  add_run(app, action);
  add_create(app, action);
  add_eval(app, action);
  add_bench(app, action);
  const auto commands = app.get_subcommands({});
  if (argc > 1 && argv[1][0] != '-' &&
      std::none_of(commands.begin(), commands.end(),
                   [&](const CLI::App* command) { return command->check_name(argv[1]); }))
    return Status::usage(fmt::format("'{}' is no command", argv[1]), "`enxuto --help` lists them");
  try {
    app.parse(spelled_out(argc, argv));
  } catch (const CLI::Success& asked) {
    app.exit(asked);
    return Action([] { return Status(); });
  } catch (const CLI::ParseError& error) {
    std::string command = "enxuto";
    for (const CLI::App* sub : app.get_subcommands()) command += " " + sub->get_name();
    std::string what = error.what();
    if (what == "--model is required") what = "MODEL is missing";
    return Status::usage(what, fmt::format("`{} --help` lists what there is", command));
  }
  return Action([kept, action] { return action(); });  // options may ask the app for their text
}

}  // namespace enxuto
