// Numbers, booleans and lines as text, by the rules of the Python program whose documents we read.
// Strings such as "3e-4", " 0_1 " or "off" mean values in old documents. Nothing here depends on
// the locale.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace dlm {

// As Python's int(text): surrounding blanks, one sign, single underscores between digits. None when
// the text is no integer or does not fit in 64 bits.
std::optional<int64_t> parse_python_int(std::string_view text);

// As Python's float(text): also exponents without a dot, inf, infinity and nan in any case.
std::optional<double> parse_python_float(std::string_view text);

// 0 1 t f y n yes no on off true false, in any case.
std::optional<bool> parse_bool_word(std::string_view text);

// The shortest decimal form that reads back equal, as Python's repr: 0.0002, 1e-05, 1000.0, inf.
std::string format_python_float(double value);

// As Python's str.splitlines: LF, CR, CRLF, VT, FF, 1C, 1D, 1E, U+0085, U+2028 and U+2029 end a
// line; no empty last line.
std::vector<std::string_view> split_python_lines(std::string_view text);

// 'text' with quotes inside escaped, cut after about 100 bytes; for messages.
std::string in_quotes(std::string_view text);

}  // namespace dlm
