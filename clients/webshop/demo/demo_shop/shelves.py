"""The lists of articles, straight from the database: a shop of this size needs no search engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.shortcuts import get_object_or_404
from django.utils.translation import gettext
from django.views.generic import ListView
from oscar.core.loading import get_model


class _Shelf(ListView):
    """Articles as oscar's templates expect them: results of a search, each with its product."""

    def get_queryset(self) -> list[Any]:
        return [SimpleNamespace(object=product) for product in self.articles().order_by("pk")]

    def articles(self) -> Any:
        return get_model("catalogue", "Product").objects.browsable()

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        count = len(self.object_list)
        return {**super().get_context_data(**kwargs), "paginator": SimpleNamespace(count=count, num_pages=1)}


class CatalogueView(_Shelf):
    """Everything."""

    context_object_name = "products"
    template_name = "oscar/catalogue/browse.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "summary": gettext("All products")}


class ProductCategoryView(_Shelf):
    """One category."""

    context_object_name = "products"
    template_name = "oscar/catalogue/category.html"

    def articles(self) -> Any:
        return super().articles().filter(categories=self._category())

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {**super().get_context_data(**kwargs), "category": self._category()}

    def _category(self) -> Any:
        return get_object_or_404(get_model("catalogue", "Category"), pk=self.kwargs["pk"])


class FacetedSearchView(_Shelf):
    """What has the words in its title."""

    context_object_name = "results"
    template_name = "oscar/search/results.html"

    def articles(self) -> Any:
        return super().articles().filter(title__icontains=self.request.GET.get("q", "")[:100])

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        return {
            **super().get_context_data(**kwargs),
            "query": self.request.GET.get("q", "")[:100],
            "page": SimpleNamespace(object_list=self.object_list),
        }
