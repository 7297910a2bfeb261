// Runs a .pte file over many inputs on another CPU, without Python and torch: ExecuTorch's own libraries alone.
//
//     executorch_file MODEL INPUTS OUTPUTS
//
// INPUTS holds int64: the number of examples n, n + 1 offsets, and one flat array for each input of the model, example i
// at offsets[i] to offsets[i + 1]. OUTPUTS gets the number of a row's logits as int64 and fp32 logits, example after
// example. Batch 1, one thread.

#include <cstdint>
#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/extension/threadpool/threadpool_guard.h>

using executorch::aten::ScalarType;
using executorch::extension::from_blob;
using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::EValue;

static int fail(const std::string& what) {
  std::fprintf(stderr, "%s\n", what.c_str());
  return 1;
}

static bool read_int64(std::ifstream& file, std::vector<int64_t>& numbers) {
  return bool(file.read(reinterpret_cast<char*>(numbers.data()), numbers.size() * sizeof(int64_t)));
}

int main(int count, char** arguments) {
  if (count != 4) return fail("usage: executorch_file MODEL INPUTS OUTPUTS");
  executorch::extension::threadpool::NoThreadPoolGuard one_thread;
  Module model(arguments[1]);
  const auto meta = model.method_meta("forward");
  if (!meta.ok()) return fail("the model does not load: error " + std::to_string(int(meta.error())));
  const size_t inputs = meta->num_inputs();

  std::ifstream source(arguments[2], std::ios::binary);
  std::vector<int64_t> examples(1);
  if (!read_int64(source, examples)) return fail("INPUTS is cut");
  std::vector<int64_t> offsets(examples[0] + 1);
  if (!read_int64(source, offsets)) return fail("INPUTS is cut");
  std::vector<std::vector<int64_t>> flat(inputs, std::vector<int64_t>(offsets.back()));
  for (auto& numbers : flat) {
    if (!read_int64(source, numbers)) return fail("INPUTS is cut");
  }

  std::ofstream destination(arguments[3], std::ios::binary);
  for (int64_t i = 0; i < examples[0]; ++i) {
    const auto length = static_cast<int32_t>(offsets[i + 1] - offsets[i]);
    std::vector<TensorPtr> tensors;
    std::vector<EValue> values;
    for (auto& numbers : flat) {
      tensors.push_back(from_blob(numbers.data() + offsets[i], {1, length}, ScalarType::Long));
      values.emplace_back(*tensors.back());
    }
    const auto outputs = model.forward(values);
    if (!outputs.ok()) return fail("example " + std::to_string(i) + ": error " + std::to_string(int(outputs.error())));
    const auto& logits = outputs->at(0).toTensor();
    if (logits.scalar_type() != ScalarType::Float) return fail("the model's output is not fp32");
    const int64_t columns = logits.size(logits.dim() - 1);
    if (i == 0) destination.write(reinterpret_cast<const char*>(&columns), sizeof(columns));
    destination.write(reinterpret_cast<const char*>(logits.const_data_ptr<float>()), logits.nbytes());
  }
  destination.close();
  return destination ? 0 : fail("OUTPUTS cannot be written");
}
