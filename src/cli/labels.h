// Where labels of a chart go: beside their points, on nothing else that is drawn.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace enxuto {

class Labels {
 public:
  Labels(double width, double height) : width_(width), height_(height) {}

  // What no label may cover: a line from a to b, and what lies around a point.
  void keep_clear(double ax, double ay, double bx, double by);
  void keep_clear(double x, double y, double radius);

  // An SVG text of this class beside (x, y); below and to the left where `below` asks for it, else
  // above and to the right, as far as there is room. Empty where there is none.
  std::string place(std::string_view text, const char* style, double x, double y, bool below);

 private:
  struct Box {
    double left, top, right, bottom;
  };
  bool is_free(const Box& box) const;

  double width_, height_;
  std::vector<Box> taken_;
};

}  // namespace enxuto
