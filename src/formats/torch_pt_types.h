// What writer and reader of torch archives share: the storage class of each dtype and the pickle
// opcodes in use (protocol 2).
#pragma once

#include <cstdint>
#include <string_view>

namespace dlm::torch_pt {

struct Storage {
  std::string_view dtype;
  std::string_view torch_class;  // in module torch
};
inline constexpr Storage kStorages[] = {{"F32", "FloatStorage"}, {"F64", "DoubleStorage"},
                                        {"F16", "HalfStorage"},  {"BF16", "BFloat16Storage"},
                                        {"I64", "LongStorage"},  {"I32", "IntStorage"},
                                        {"I16", "ShortStorage"}, {"I8", "CharStorage"},
                                        {"U8", "ByteStorage"},   {"BOOL", "BoolStorage"}};

inline constexpr int kMostDepth = 64;
inline constexpr std::string_view kFolder = "archive/";
inline constexpr std::string_view kRebuild = "torch._utils\n_rebuild_tensor_v2\n";
inline constexpr std::string_view kOrderedDict = "collections\nOrderedDict\n";

// Opcodes by their names in Python's pickletools.
inline constexpr char kProto = '\x80', kStop = '.', kMark = '(', kNone = 'N', kNewTrue = '\x88',
                      kNewFalse = '\x89', kBinInt = 'J', kLong1 = '\x8a', kBinFloat = 'G',
                      kBinUnicode = 'X', kEmptyDict = '}', kSetItems = 'u', kEmptyList = ']',
                      kAppends = 'e', kGlobal = 'c', kTuple = 't', kEmptyTuple = ')', kReduce = 'R',
                      kBinPersId = 'Q';

}  // namespace dlm::torch_pt
