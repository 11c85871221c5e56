"""Tests of jobs without any process: folders in memory, engines that are made up."""
