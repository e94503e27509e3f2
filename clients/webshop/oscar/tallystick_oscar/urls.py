"""Addresses of this application; a shop includes them as "rewards/"."""

from __future__ import annotations

from django.urls import path

from tallystick_oscar import staff, views

app_name = "tallystick"
urlpatterns = [
    path("", views.AccountView.as_view(), name="account"),
    path("join/", views.JoinView.as_view(), name="join"),
    path("join/code/", views.CodeView.as_view(), name="code"),
    path("join/<str:token>/", views.ConfirmView.as_view(), name="confirm"),
    path("unlink/", views.UnlinkView.as_view(), name="unlink"),
    path("use/", views.UseView.as_view(), name="use"),
    path("widget.js", views.WidgetFileView.as_view(), name="widget"),
    path("token/", views.WidgetTokenView.as_view(), name="token"),
    path("orders/<str:number>/<str:token>/", views.ClaimView.as_view(), name="claim"),
    path("staff/returns/<str:number>/", staff.ReturnView.as_view(), name="return"),
]
