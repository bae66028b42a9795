"""The pages of a project with two databases: the admin, and a site of the second one."""

from django.contrib import admin
from django.urls import path

from reproq_django.admin import site_of

urlpatterns = [path("admin/", admin.site.urls), path("reports/", site_of("reports").urls)]
