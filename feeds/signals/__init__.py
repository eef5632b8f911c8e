"""Trading signals: the rules that give them, a prediction service that may weigh in, and how they are kept."""
