// From a type of weights to its format.
#pragma once

#include "kernels/generic/codebooks.h"

namespace enxuto::generic {

// Calls f.operator()<F>() with the format of a type; false where it has no kernel of its own.
template <class V, class Function>
bool with_format(Type type, const Function& f) {
  switch (type) {
    case Type::Q4_0:
      f.template operator()<Q4_0<V>>();
      return true;
    case Type::Q4_1:
      f.template operator()<Q4_1<V>>();
      return true;
    case Type::Q5_0:
      f.template operator()<Q5_0<V>>();
      return true;
    case Type::Q5_1:
      f.template operator()<Q5_1<V>>();
      return true;
    case Type::Q8_0:
      f.template operator()<Q8_0<V>>();
      return true;
    case Type::Q2_0:
      f.template operator()<Q2_0<V>>();
      return true;
    case Type::Q2_K:
      f.template operator()<Q2_K<V>>();
      return true;
    case Type::Q3_K:
      f.template operator()<Q3_K<V>>();
      return true;
    case Type::Q4_K:
      f.template operator()<Q4_K<V>>();
      return true;
    case Type::Q5_K:
      f.template operator()<Q5_K<V>>();
      return true;
    case Type::Q6_K:
      f.template operator()<Q6_K<V>>();
      return true;
    case Type::IQ4_NL:
      f.template operator()<IQ4_NL<V>>();
      return true;
    case Type::IQ4_XS:
      f.template operator()<IQ4_XS<V>>();
      return true;
    case Type::Q1_0:
      f.template operator()<Q1_0<V>>();
      return true;
    case Type::NVFP4:
      f.template operator()<NVFP4<V>>();
      return true;
    case Type::TQ1_0:
      f.template operator()<TQ1_0<V>>();
      return true;
    case Type::MXFP4:
      f.template operator()<MXFP4<V>>();
      return true;
    case Type::IQ1_S:
      f.template operator()<IQ1_S<V>>();
      return true;
    case Type::IQ1_M:
      f.template operator()<IQ1_M<V>>();
      return true;
    case Type::IQ2_XXS:
      f.template operator()<IQ2_XXS<V>>();
      return true;
    case Type::IQ2_XS:
      f.template operator()<IQ2_XS<V>>();
      return true;
    case Type::IQ2_S:
      f.template operator()<IQ2_S<V>>();
      return true;
    case Type::IQ3_XXS:
      f.template operator()<IQ3_XXS<V>>();
      return true;
    case Type::IQ3_S:
      f.template operator()<IQ3_S<V>>();
      return true;
    case Type::TQ2_0:
      f.template operator()<TQ2_0<V>>();
      return true;
    case Type::SQ8_0:
      f.template operator()<SQ8_0<V>>();
      return true;
    case Type::SQ4_NL:
      f.template operator()<SQ4_NL<V>>();
      return true;
    default:
      return false;
  }
}

}  // namespace enxuto::generic
