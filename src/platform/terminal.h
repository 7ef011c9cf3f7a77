// The terminal, where there is one.
#pragma once

namespace enxuto {

enum class Stream { kInput = 0, kOutput = 1, kError = 2 };

bool is_terminal(Stream stream);
int terminal_columns();  // of standard error's terminal, or standard output's; 80 where unknown

}  // namespace enxuto
